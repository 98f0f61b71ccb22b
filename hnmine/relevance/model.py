"""The estimate of relevance: learned on a sample of the queries, applied to every candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from hnmine.names import DEFAULT_SOURCES, in_order, rank_of
from hnmine.ragged import Floats
from hnmine.relevance.evidence import Scale, features, numbers
from hnmine.relevance.prior import probability, share_of_relevant
from hnmine.relevance.pu_regression import equal_weights, evidence_of, learn

SIMILARITY = "positive_similarity"
SIMILARITY_WEIGHT = 0.4
"""Log odds for a standard deviation of similarity to the positive. It cannot be learned from the
positives, each of which is its own nearest; from 0.3 to 0.6 it helped on three of four collections
and never did harm."""

NOT_EVIDENCE = (SIMILARITY, "verdict")
"""Columns of judges that nothing is learned from."""

FEWEST_POSITIVES = 20
"""With fewer positives among what the sources find, nothing is learned."""

FOLDS = 2


class Sample:
    """Some queries' rows as arrays.

    Args:
        table: candidates with the judges' columns; all rows of a query stand together.
        judges: names of the columns that hold evidence.
        sources: that the candidates are from.
    """

    def __init__(
        self, table: pa.Table, judges: Sequence[str], sources: Sequence[str] = DEFAULT_SOURCES
    ) -> None:
        rows = table["query_row"].to_numpy()
        self.query = np.cumsum(np.diff(rows, prepend=rows[:1]) != 0).astype(np.int64)
        self.is_positive: NDArray[np.bool_] = table["is_positive"].to_numpy()
        self.candidate: NDArray[np.bool_] = pc.is_valid(table["rank"]).to_numpy()
        self.rank = numbers(table["rank"])
        lists = [rank_of(name) for name in in_order(sources, table.column_names)]
        found = [pc.is_valid(table[column]).to_numpy() for column in lists]
        self.found = np.any([np.zeros(len(rows), dtype=bool), *found], axis=0)
        self.scores = {name: numbers(table[name]) for name in judges}
        similar = SIMILARITY in table.column_names
        self.similarity = numbers(table[SIMILARITY]) if similar else np.full(len(rows), np.nan)
        ids = table["query_id"].to_pylist()
        first = np.flatnonzero(np.diff(self.query, prepend=-1))
        hashes = np.array([_hash(ids[row]) for row in first], dtype=np.uint64)
        self.fold = (hashes % np.uint64(FOLDS)).astype(np.int64)[self.query]


def _hash(query_id: str) -> int:
    return xxhash.xxh3_64_intdigest(query_id.encode("utf-8", "surrogatepass"), 4)


@dataclass(frozen=True)
class Estimates:
    """What is estimated of the rows of a sample, shape (rows,) each.

    Attributes:
        evidence: log likelihood ratio by the judges alone.
        relevance: the same with the similarity to the positive.
        p_relevant: the chance that a row is relevant; NaN without knowledge.
    """

    evidence: Floats
    relevance: Floats
    p_relevant: Floats


@dataclass(frozen=True)
class Relevance:
    """What was learned.

    Attributes:
        judges: the columns that are evidence.
        scales: of each judge, and of the similarity to the positive.
        weights: for each fold of queries, the model that has not seen it.
        positives: how many known positives it was learned from; with too few, nothing was, and all
            judges have the same weight.
        share: of the candidates that are relevant, at most; None where nothing was learned.
        shift: makes the probabilities of all candidates average `share`.
    """

    judges: tuple[str, ...]
    scales: dict[str, Scale]
    weights: tuple[Floats, ...]
    positives: int
    share: float | None = None
    shift: float = 0.0

    @classmethod
    def learn(cls, sample: Sample) -> Relevance:
        """Learn from the positives that the sources found too."""
        positive, candidate = sample.is_positive & sample.found, sample.candidate
        judges = tuple(
            name for name, scores in sample.scores.items() if np.isfinite(scores[candidate]).any()
        )
        scales = {name: Scale.of(sample.scores[name][candidate]) for name in judges}
        scales[SIMILARITY] = Scale.of(sample.similarity[candidate])
        x = features(sample.scores, judges, scales, sample.query, candidate)
        seen = [sample.fold != fold for fold in range(FOLDS)]
        total = int(positive.sum())
        if total < FEWEST_POSITIVES or not all((positive & rows).any() for rows in seen):
            return cls(judges, scales, (equal_weights(x.shape[1]),) * FOLDS, total)
        weights = tuple(learn(x[positive & rows], x[candidate & rows]) for rows in seen)
        model = cls(judges, scales, weights, total)
        found = model.estimate(sample)
        share = share_of_relevant(found.evidence[positive], found.evidence[candidate])
        return replace(model, share=share, shift=_shift(found.relevance[candidate], share))

    def estimate(self, sample: Sample) -> Estimates:
        """Estimate the relevance of each row."""
        x = features(sample.scores, self.judges, self.scales, sample.query, sample.candidate)
        by_fold = np.stack([evidence_of(weights, x) for weights in self.weights])
        evidence: Floats = by_fold[sample.fold, np.arange(len(x))]
        similar = self.scales[SIMILARITY].apply(sample.similarity)
        relevance: Floats = evidence + SIMILARITY_WEIGHT * similar + self.shift
        unknown = np.full(len(relevance), np.nan)
        chance = unknown if self.share is None else probability(relevance, self.share)
        return Estimates(evidence, relevance, chance)

    def as_json(self) -> dict[str, Any]:
        """Return all of it: of each judge's two weights, one for each fold of queries."""
        weights = np.stack(self.weights, axis=1).tolist()
        return {
            "positives": self.positives,
            "share_of_relevant": self.share,
            "constant": weights[0],
            "judges": {
                judge: {
                    "among_all": weights[1 + 2 * n],
                    "within_query": weights[2 + 2 * n],
                    **asdict(self.scales[judge]),
                }
                for n, judge in enumerate(self.judges)
            },
            SIMILARITY: {"weight": SIMILARITY_WEIGHT, **asdict(self.scales[SIMILARITY])},
            "shift": self.shift,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Relevance:
        """Read what `as_json` returned."""
        judges = given["judges"]
        rows = [given["constant"]]
        for judge in judges.values():
            rows += [judge["among_all"], judge["within_query"]]
        spread = {**judges, SIMILARITY: given[SIMILARITY]}
        return cls(
            tuple(judges),
            {name: Scale(value["mean"], value["deviation"]) for name, value in spread.items()},
            tuple(np.array(rows).T),
            given["positives"],
            given["share_of_relevant"],
            given["shift"],
        )


def _shift(log_ratio: Floats, share: float) -> float:
    """Find the constant with which the probabilities average the share of relevant candidates."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if probability(log_ratio + middle, share).mean() < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
