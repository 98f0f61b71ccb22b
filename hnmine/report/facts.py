"""The facts of a report, gathered once for the terminal, the page and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from hnmine.printable import without_nan
from hnmine.results import Json

if TYPE_CHECKING:  # They import SciPy, which `hnmine inspect` does not need.
    from hnmine.selection.hardness import Hardness


@dataclass(frozen=True)
class Spread:
    """Mean and percentiles of some values.

    Attributes:
        count: of the finite values.
        mean: of these values.
        low, median, high: about the 5th, 50th and 95th percentile.
    """

    count: int
    mean: float
    low: float
    median: float
    high: float


Scale = Literal["linear", "whole", "log"]


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins, for several groups.

    Attributes:
        name: label of the values.
        edges: of the bins, ascending, shape (bins + 1,).
        counts: values in each bin, by group.
        spread: by group.
        scale: `whole`: whole numbers; `log`: bins grow with the values.
    """

    name: str
    edges: list[float]
    counts: dict[str, list[int]]
    spread: dict[str, Spread]
    scale: Scale = "linear"


@dataclass(frozen=True)
class Mix:
    """Candidates that the same sources found.

    Attributes:
        sources: the sources.
        candidates: number of candidates without known positives.
        negatives: number of these that were chosen.
    """

    sources: list[str]
    candidates: int
    negatives: int


@dataclass(frozen=True)
class Hub:
    """A document that serves as a negative of many queries.

    Attributes:
        doc_id: its id.
        uses: number of queries that it is a negative of.
        positives: number of queries that it is a positive of.
        text: its beginning; None if it cannot be read.
    """

    doc_id: str
    uses: int
    positives: int
    text: str | None


@dataclass(frozen=True)
class Hubness:
    """How often documents serve as negatives.

    Attributes:
        documents: number of documents among the candidates.
        used: number of these that are a negative of any query.
        top_share: share of all negatives that come from the most used 1 % of the used documents.
        skewness: of the number of uses over all documents among the candidates, the usual measure
            of hubness (Radovanovic et al., JMLR 2010); NaN if all are used equally often.
        bands: number of documents by number of uses.
        most: the most used documents.
    """

    documents: int
    used: int
    top_share: float
    skewness: float
    bands: dict[str, int]
    most: list[Hub]


@dataclass(frozen=True)
class Document:
    """A document in an example.

    Attributes:
        doc_id: its id.
        text: its beginning; None if it cannot be read.
        scores: by column.
        rank: among the candidates of the query; None for a positive.
    """

    doc_id: str
    text: str | None
    scores: dict[str, float]
    rank: int | None


Kind = Literal["hard negative", "doubtful negative", "narrowly dropped"]


@dataclass(frozen=True)
class Example:
    """A candidate to look at.

    Attributes:
        kind: why it is shown: a hard negative, or near the border between chosen and dropped.
        verdict: `negative`, or the rule that dropped it.
        query_id: id of the query.
        query: its text; None if it cannot be read.
        positive: the query's positive with the lowest score.
        candidate: the candidate.
        margin: score of the positive minus that of the candidate.
        relevance: score of its doubt; NaN if unknown.
        sources: that found it.
    """

    kind: Kind
    verdict: str
    query_id: str
    query: str | None
    positive: Document | None
    candidate: Document
    margin: float
    relevance: float
    sources: list[str]

    @property
    def dropped_by(self) -> str:
        """The rule that dropped it, in words; empty for a negative."""
        return f"dropped: {self.verdict}" if self.kind == "narrowly dropped" else ""

    @property
    def reason(self) -> str:
        """Why it is shown, with the rule that dropped it."""
        return self.dropped_by or self.kind


@dataclass
class Facts:
    """All facts of a report.

    Attributes:
        path: the mined directory.
        counts: of its manifest.
        funnel: steps from candidates to negatives: name, documents; drops are negative.
        rows: why train/ has as many rows as it has, a sentence each.
        shortfall: by reason: queries with too few negatives, number of missing negatives.
        score: the score that the rules compared.
        scores, margins, ranks, lengths, relevance: histograms.
        mixes: candidates by the sources that found them.
        hubness: None without negatives.
        learned: the content of relevance.json.
        hardness: loss and gradients before training; None without bi-encoder scores.
        examples: hard negatives, then borderline candidates.
        settings: by stage.
        origin: hashes, versions, models.
        no_texts: why texts cannot be shown; empty if they can.
    """

    path: str
    counts: dict[str, int]
    funnel: list[tuple[str, int]]
    shortfall: dict[str, tuple[int, int]]
    score: str
    rows: list[str] = field(default_factory=list)
    scores: list[Histogram] = field(default_factory=list)
    margins: Histogram | None = None
    ranks: Histogram | None = None
    lengths: Histogram | None = None
    relevance: Histogram | None = None
    mixes: list[Mix] = field(default_factory=list)
    hubness: Hubness | None = None
    learned: Json = field(default_factory=dict)
    hardness: Hardness | None = None
    examples: list[Example] = field(default_factory=list)
    settings: dict[str, Json] = field(default_factory=dict)
    origin: Json = field(default_factory=dict)
    no_texts: str = ""

    def as_json(self) -> Json:
        """Return everything as JSON values; an unknown number is null."""
        found: Json = without_nan(asdict(self))
        return found
