"""The relevance model: learned on a sample of the queries, applied to every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import BaseModel, ConfigDict

from hnmine.names import DEFAULT_SOURCES, in_order, rank_of
from hnmine.ragged import Bools, Floats
from hnmine.relevance.evidence import Scale, features, numbers
from hnmine.relevance.pu_learning import (
    equal_weights,
    evidence_of,
    learn,
    probability,
    share_of_relevant,
)

SIMILARITY = "positive_similarity"
SIMILARITY_WEIGHT = 0.4
"""Log odds for each standard deviation of similarity to the positive. It cannot be learned: each
positive is its own nearest neighbour. From 0.3 to 0.6 it helped on three of four collections and
harmed none."""

NOT_EVIDENCE = (SIMILARITY, "verdict")
"""Columns of judges that the model does not use."""

FEWEST_POSITIVES = 20
"""With fewer positives among the hits of the sources, no weights are learned."""

FOLDS = 2


class Sample:
    """The rows of some queries, as arrays.

    Args:
        table: candidates with the judges' columns; all rows of a query stand together.
        judges: names of the score columns.
        sources: that found the candidates.
    """

    def __init__(
        self, table: pa.Table, judges: Sequence[str], sources: Sequence[str] = DEFAULT_SOURCES
    ) -> None:
        rows = table["query_row"].to_numpy()
        self.query = np.cumsum(np.diff(rows, prepend=rows[:1]) != 0).astype(np.int64)
        self.is_positive: Bools = table["is_positive"].to_numpy()
        self.candidate: Bools = pc.is_valid(table["rank"]).to_numpy()
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
    """Estimates for the rows of a sample, shape (rows,) each.

    Attributes:
        evidence: log likelihood ratio from the judges alone.
        relevance: log likelihood ratio that includes the similarity to the positive.
        p_relevant: probability of relevance; NaN if no model was learned.
    """

    evidence: Floats
    relevance: Floats
    p_relevant: Floats


class JudgeWeights(Scale):
    """The weights of one judge, one for each fold of queries, and the scale of its scores."""

    among_all: list[float]
    within_query: list[float]


class SimilarityWeight(Scale):
    """The weight of the similarity to the positive, and its scale."""

    weight: float = SIMILARITY_WEIGHT


class Relevance(BaseModel):
    """A model of relevance; its fields are those of relevance.json.

    Attributes:
        positives: known positives that it was learned from. With too few, all judges have the same
            weight.
        share_of_relevant: upper bound on the share of relevant candidates; None if no weights were
            learned.
        constant: intercept, for each fold of queries. A fold's weights come from the other folds.
        judges: the score columns that it uses.
        positive_similarity: weight of the similarity to the positive.
        shift: makes the probabilities of all candidates average `share_of_relevant`.
    """

    model_config = ConfigDict(frozen=True)

    positives: int
    share_of_relevant: float | None = None
    constant: list[float]
    judges: dict[str, JudgeWeights]
    positive_similarity: SimilarityWeight
    shift: float = 0.0

    @classmethod
    def learn(cls, sample: Sample) -> Relevance:
        """Learn from the known positives among the hits of the sources."""
        positive, candidate = sample.is_positive & sample.found, sample.candidate
        scales = {
            name: Scale.of(scores[candidate])
            for name, scores in sample.scores.items()
            if np.isfinite(scores[candidate]).any()
        }
        x = features(sample.scores, scales, sample.query, candidate)
        seen = [sample.fold != fold for fold in range(FOLDS)]
        total = int(positive.sum())
        enough = total >= FEWEST_POSITIVES and all((positive & rows).any() for rows in seen)
        fits = [
            learn(x[positive & rows], x[candidate & rows]) if enough else equal_weights(x.shape[1])
            for rows in seen
        ]
        constant, *weights = np.stack(fits, axis=1).tolist()
        similarity = Scale.of(sample.similarity[candidate])
        model = cls(
            positives=total,
            constant=constant,
            judges={
                name: JudgeWeights(**dict(scale), among_all=among_all, within_query=within_query)
                for (name, scale), among_all, within_query in zip(
                    scales.items(), weights[::2], weights[1::2], strict=True
                )
            },
            positive_similarity=SimilarityWeight(**dict(similarity)),
        )
        if not enough:
            return model
        estimates = model.estimate(sample)
        share = share_of_relevant(estimates.evidence[positive], estimates.evidence[candidate])
        shift = _shift(estimates.relevance[candidate], share)
        return model.model_copy(update={"share_of_relevant": share, "shift": shift})

    @property
    def weights(self) -> tuple[Floats, ...]:
        """For each fold of queries, the intercept and the weight of each feature."""
        rows = [self.constant]
        for judge in self.judges.values():
            rows += [judge.among_all, judge.within_query]
        return tuple(np.array(rows).T)

    def estimate(self, sample: Sample) -> Estimates:
        """Estimate the relevance of each row."""
        x = features(sample.scores, self.judges, sample.query, sample.candidate)
        by_fold = np.stack([evidence_of(weights, x) for weights in self.weights])
        evidence: Floats = by_fold[sample.fold, np.arange(len(x))]
        similarity = self.positive_similarity.apply(sample.similarity)
        relevance: Floats = evidence + SIMILARITY_WEIGHT * similarity + self.shift
        share = self.share_of_relevant
        p_relevant = np.full(len(x), np.nan) if share is None else probability(relevance, share)
        return Estimates(evidence, relevance, p_relevant)


def _shift(log_ratio: Floats, share: float) -> float:
    """Return the constant with which the probabilities average the share of relevant candidates."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if probability(log_ratio + middle, share).mean() < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
