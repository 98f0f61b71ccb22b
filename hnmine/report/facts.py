"""What a report says, gathered once, for a terminal, for a page and for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hnmine.printable import without_nan

if TYPE_CHECKING:  # It takes SciPy, which looking at a single query can do without.
    from hnmine.audit.estimate import Estimate
    from hnmine.selection.hardness import Hardness

POSITIVE, NEGATIVE, KEPT, DROPPED = "positive", "negative", "kept", "dropped"
"""What became of a candidate: trained as a positive, as a negative, not chosen, not allowed."""


@dataclass(frozen=True)
class Spread:
    """How some values are spread.

    Attributes:
        count: of the finite values.
        mean: of them.
        low, median, high: the 5th, 50th and 95th percentile, about.
    """

    count: int
    mean: float
    low: float
    median: float
    high: float


Scale = Literal["linear", "whole", "log", "logit"]


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins, for several groups.

    Attributes:
        name: what the values are.
        edges: of the bins, ascending, one more than bins.
        counts: by group: for each bin.
        spread: by group.
        scale: `whole`, values are whole numbers; `log`, bins are as wide as their values are large;
            `logit`, equally wide in log-odds.
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
        sources: which.
        candidates: how many, known positives not counted.
        negatives: how many of them were chosen.
        p_relevant: mean estimated chance that a chosen one is relevant; NaN if unknown.
    """

    sources: list[str]
    candidates: int
    negatives: int
    p_relevant: float


@dataclass(frozen=True)
class Hub:
    """A document that serves as a negative of many queries.

    Attributes:
        doc_id: its id.
        uses: queries that it is a negative of.
        positives: queries that it is a positive of.
        text: its beginning; None if it cannot be read.
    """

    doc_id: str
    uses: int
    positives: int
    text: str | None


@dataclass(frozen=True)
class Hubness:
    """How unevenly documents are used.

    Attributes:
        documents: that were candidates of any query.
        used: that are a negative of any.
        top_share: share of all negatives that the most used 1 % of the used documents are.
        skewness: of the number of uses over all candidates' documents, the usual measure of
            hubness (Radovanovic et al., JMLR 2010); NaN if all are used as often.
        bands: by number of uses: documents.
        most: the most used.
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
        rank: among the query's candidates; None for a positive.
    """

    doc_id: str
    text: str | None
    scores: dict[str, float]
    rank: int | None


@dataclass(frozen=True)
class Example:
    """A candidate near the border between negatives and what was dropped.

    Attributes:
        verdict: `negative`, or the reason why it was dropped.
        query_id, query: the query; None if its text cannot be read.
        positive: of the query's positives that with the lowest score.
        candidate: the document in question.
        margin: score of the positive minus that of the candidate.
        p_relevant: estimated chance that the candidate is relevant; NaN if unknown.
    """

    verdict: str
    query_id: str
    query: str | None
    positive: Document | None
    candidate: Document
    margin: float
    p_relevant: float


@dataclass
class Facts:
    """What a report says.

    Attributes:
        path: the mined directory.
        counts: those of its manifest.
        funnel: steps from candidates to negatives: name, documents; drops are negative.
        shortfall: by reason: queries that got too few, negatives that they lack.
        score: what the rules compared.
        scores, margins, ranks, lengths, chances: distributions.
        mixes: by the sources that found them.
        hubness: None without negatives.
        shortcuts: by feature: the chance that it ranks a positive over a negative of its query.
        estimate: of the share of false negatives, from p_relevant.
        learned: relevance.json.
        hardness: what a student would see; None without a bi-encoder's scores.
        examples: at the margin.
        settings: by stage.
        origin: hashes, versions, models.
        no_texts: why texts cannot be shown; empty if they can.
    """

    path: str
    counts: dict[str, int]
    funnel: list[tuple[str, int]]
    shortfall: dict[str, tuple[int, int]]
    score: str
    scores: list[Histogram] = field(default_factory=list)
    margins: Histogram | None = None
    ranks: Histogram | None = None
    lengths: Histogram | None = None
    chances: Histogram | None = None
    mixes: list[Mix] = field(default_factory=list)
    hubness: Hubness | None = None
    shortcuts: dict[str, Estimate] = field(default_factory=dict)
    estimate: Estimate | None = None
    learned: dict[str, Any] = field(default_factory=dict)
    hardness: Hardness | None = None
    examples: list[Example] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    no_texts: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values; what is unknown is null."""
        found: dict[str, Any] = without_nan(asdict(self))
        return found
