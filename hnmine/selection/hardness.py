"""Hardness of the chosen negatives: the loss and gradients at the start of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy  # It loads scipy.special when it is used.
from numpy.typing import NDArray
from pydantic import TypeAdapter

from hnmine.errors import damage_explained
from hnmine.names import in_order, rank_of
from hnmine.ragged import Bools, Floats, Ints
from hnmine.relevance.evidence import numbers
from hnmine.relevance.within_query import aucs, either_way
from hnmine.runner.manifest import read_json
from hnmine.selection.vector_sums import MILLION, Groups, diversity_of

HARDNESS = "hardness.json"
"""The file in a mined directory."""

SCALES = {"cosine": 20.0, "dot": 1.0}
"""Factor of the scores in the softmax, by similarity: the default of sentence-transformers'
contrastive losses, and what they advise for dot products."""

EASY = 0.05
"""Gradient of a row below which no trained choice differed from random negatives."""

OF_ORIGIN, COUNT_OF_ORIGIN = "push_of ", "negatives_of "
"""Prefixes of the sums over negatives with the same sources."""

AUC_OF, QUERIES_OF = "auc_of ", "queries_of "
"""Prefixes of the sums of the AUC within queries, and of the queries that have one."""

MOST_ORIGINS = 3
"""Combinations of sources that a sentence names."""


def sums(
    query: Ints,
    score: Floats,
    positive: Bools,
    negative: Bools,
    origin: NDArray[np.str_] | None = None,
    scale: float = SCALES["cosine"],
) -> dict[str, int]:
    """Return sums of the losses and gradients of a model that scores as the bi-encoder does.

    A row is a positive with all negatives of its query. Its loss is the cross-entropy of the
    softmax over `scale` times their scores. The gradient on the positive's logit is `1 - p`. The
    negatives share the same amount, each by its own probability.

    Args:
        query: of each candidate, shape (candidates,).
        score: with the query; candidates with NaN are left out.
        positive: which serve as positives.
        negative: which were chosen as negatives.
        origin: the sources that found it, as one text; None for no sums by origin.
        scale: of the scores; see `SCALES`.

    Returns:
        Counts, and sums in millionths, which can be added over parts; see `Hardness.of`.
    """
    known = np.isfinite(score)
    positive, negative = positive & known, negative & known
    logit = scale * np.where(known, score, 0.0)
    queries = int(query.max(initial=-1)) + 1
    top = np.full(queries, -np.inf)
    np.maximum.at(top, query[negative], logit[negative])
    mass = np.exp(logit[negative] - top[query[negative]])
    total = np.bincount(query[negative], mass, minlength=queries)
    rows = np.flatnonzero(positive & np.isfinite(top)[query])
    of_row = query[rows]
    # How far all negatives together stand above the positive, as one logit.
    above = top[of_row] + np.log(total[of_row]) - logit[rows]
    push = scipy.special.expit(above)
    found = {
        "rows": len(rows),
        "loss": _millionths(np.logaddexp(0.0, above)),
        "push": _millionths(push),
        "easy": int((push < EASY).sum()),
        "overtaken": int((top[of_row] >= logit[rows]).sum()),
    }
    if origin is not None:
        of_query = np.bincount(of_row, push, minlength=queries)
        at = query[negative]
        found |= _by_origin(origin[negative], of_query[at] * mass / total[at], of_query[at] > 0)
    return found


def _by_origin(origin: NDArray[np.str_], pull: Floats, counts: Bools) -> dict[str, int]:
    """Return sums of the gradients on negatives, and their counts, by origin."""
    found = {}
    for name in np.unique(origin[counts]).tolist():
        of_it = counts & (origin == name)
        found[OF_ORIGIN + name] = _millionths(pull[of_it])
        found[COUNT_OF_ORIGIN + name] = int(of_it.sum())
    return found


def sums_of(
    table: pa.Table,
    query: Ints,
    positive: Bools,
    negative: Bools,
    sources: Sequence[str],
    similarity: str = "cosine",
) -> dict[str, int]:
    """Return `sums` of a table of candidates; empty if no bi-encoder scored them."""
    if "dense_score" not in table.column_names:
        return {}
    score = numbers(table["dense_score"])
    origins = origins_of(table, sources, " + ")
    scale = SCALES[similarity]
    return sums(query, score, positive, negative, origins, scale)


def sums_of_shortcuts(
    query: Ints, positive: Bools, negative: Bools, scores: Mapping[str, Floats]
) -> dict[str, int]:
    """Return sums of how well each score tells positives from negatives; see `Hardness.of`.

    Args:
        query: of each candidate, shape (candidates,).
        positive: which serve as positives.
        negative: which were chosen as negatives.
        scores: of each candidate, by name; NaN where unknown.
    """
    rows = positive | negative
    found: dict[str, int] = {}
    for name, score in scores.items():
        of_query = aucs(score[rows], positive[rows], query[rows])
        if len(of_query):
            found |= {AUC_OF + name: _millionths(of_query), QUERIES_OF + name: len(of_query)}
    return found


def sums_of_ranks(rank: Floats) -> dict[str, int]:
    """Return the sum of the known ranks of chosen negatives, and their number."""
    known = rank[np.isfinite(rank)]
    return {"rank": _millionths(known), "ranked": len(known)}


def origins_of(table: pa.Table, sources: Sequence[str], between: str) -> NDArray[np.str_]:
    """Return the sources that found each candidate, as in "bm25 + dense"."""
    sources = in_order(sources, table.column_names)
    found = np.zeros(table.num_rows, dtype=np.int64)
    for n, source in enumerate(sources):
        found |= pc.is_valid(table[rank_of(source)]).to_numpy().astype(np.int64) << n
    kinds, of_row = np.unique(found, return_inverse=True)
    names = [
        between.join(source for n, source in enumerate(sources) if kind >> n & 1)
        for kind in kinds.tolist()
    ]
    return np.asarray(names, dtype=np.str_)[of_row]


def _millionths(values: Floats) -> int:
    return int(np.rint(values * MILLION).astype(np.int64).sum())


@dataclass(frozen=True)
class Hardness:
    """Loss and gradients at the start of training, on mined negatives without in-batch ones.

    Attributes:
        rows: positives with negatives.
        loss: mean cross-entropy.
        push: mean gradient on the positive's logit, from 0 to 1.
        easy: share of the rows with a gradient below `EASY`.
        overtaken: share of the rows where a negative scores at least as high as the positive.
        origins: by combination of sources, the share of the `negatives` and of the `gradient`;
            each adds up to 1.
        rank: mean rank of the negatives, from 0, in the ranking that depth counts.
        shortcuts: AUC of "bm25" and of "length" alone, from 0.5 for chance to 1: how well they
            tell positives from negatives, either way round; without those that are unknown.
        most_uses: queries that the most used negative serves.
        diversity: mean over queries of 1 - cosine between two of its negatives; None if unknown.
        groups: how alike candidates of one `group` are; None without this column.
    """

    rows: int
    loss: float
    push: float
    easy: float
    overtaken: float
    origins: dict[str, dict[str, float]] = field(default_factory=dict)
    rank: float | None = None
    shortcuts: dict[str, float] = field(default_factory=dict)
    most_uses: int | None = None
    diversity: float | None = None
    groups: Groups | None = None

    @classmethod
    def of(cls, added: Mapping[str, int], most_uses: int | None = None) -> Hardness | None:
        """Return the means of sums over all parts; None without a row.

        Args:
            added: `sums`, `sums_of_shortcuts`, `sums_of_ranks` and `sums_of_vectors`.
            most_uses: queries that the most used negative serves.
        """
        rows = added.get("rows", 0)
        if not rows:
            return None
        return cls(
            rows,
            added["loss"] / MILLION / rows,
            added["push"] / MILLION / rows,
            added["easy"] / rows,
            added["overtaken"] / rows,
            _shares(added),
            added["rank"] / MILLION / added["ranked"] if added.get("ranked") else None,
            _shortcuts(added),
            most_uses,
            diversity_of(added),
            Groups.of(added),
        )

    @classmethod
    def read(cls, path: Path) -> Hardness | None:
        """Read what `as_json` returned; None if the file is missing or empty."""
        values = read_json(path) or {}
        with damage_explained(path):
            hardness = TypeAdapter(cls).validate_python(values) if values else None
            # The sentences use every field, so that damage in one is an error about this file.
            list(hardness.sentences() if hardness else ())
        return hardness

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self)

    @property
    def hardest_first(self) -> list[tuple[str, dict[str, float]]]:
        """The origins, by their share of the gradient, largest first."""
        return sorted(self.origins.items(), key=lambda item: (-item[1]["gradient"], item[0]))

    def sentences(self) -> Iterator[str]:
        """Describe the hardness, one sentence each."""
        yield (
            f"Hardness: initial loss {self.loss:.2f}; {self.push:.1%} of the maximum gradient. In "
            f"{self.overtaken:.0%} of the rows a negative scores as high as the positive; in "
            f"{self.easy:.0%} the gradient is below {EASY:.0%} of the maximum."
        )
        if len(self.origins) > 1:
            some = ", ".join(
                f"{name or 'no source'} {share['gradient']:.0%} ({share['negatives']:.0%})"
                for name, share in self.hardest_first[:MOST_ORIGINS]
            )
            yield f"Gradient by source (share of the negatives in brackets): {some}."
        if self.groups:
            yield self.groups.sentence()


def why_unknown(sources: Sequence[str]) -> str:
    """Say why the hardness is unknown.

    Args:
        sources: that scored the candidates.
    """
    if "dense" not in sources:
        return "Hardness: unknown, because no bi-encoder scored the candidates."
    return "Hardness: unknown, because no positive has a negative."


def _shortcuts(added: Mapping[str, int]) -> dict[str, float]:
    names = [name.removeprefix(AUC_OF) for name in added if name.startswith(AUC_OF)]
    return {
        name: either_way(added[AUC_OF + name] / MILLION / added[QUERIES_OF + name])
        for name in names
    }


def _shares(added: Mapping[str, int]) -> dict[str, dict[str, float]]:
    push, negatives = (
        {name.removeprefix(start): n for name, n in added.items() if name.startswith(start)}
        for start in (OF_ORIGIN, COUNT_OF_ORIGIN)
    )
    total, count = max(sum(push.values()), 1), sum(negatives.values())
    return {
        name: {"negatives": negatives[name] / count, "gradient": push[name] / total}
        for name in push
    }
