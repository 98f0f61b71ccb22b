"""The relevance model: learned on a sample of the queries, applied to every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import BaseModel, ConfigDict

from hnmine.names import SOURCES, in_order, rank_of
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
        self, table: pa.Table, judges: Sequence[str], sources: Sequence[str] = SOURCES[:2]
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


class SavedScale(BaseModel):
    """The scale of one score."""

    model_config = ConfigDict(frozen=True)

    mean: float
    deviation: float


class JudgeWeights(SavedScale):
    """The weights of one judge, one for each fold of queries, and its scale."""

    among_all: list[float]
    within_query: list[float]


class SimilarityWeight(SavedScale):
    """The weight of the similarity to the positive, and its scale."""

    weight: float


class SavedRelevance(BaseModel):
    """The model as relevance.json holds it; see `Relevance` for the meaning of the fields."""

    model_config = ConfigDict(frozen=True)

    positives: int
    share_of_relevant: float | None
    constant: list[float]
    judges: dict[str, JudgeWeights]
    positive_similarity: SimilarityWeight
    shift: float


@dataclass(frozen=True)
class Relevance:
    """A model of relevance.

    Attributes:
        judges: the score columns that it uses.
        scales: of each judge, and of the similarity to the positive.
        weights: for each fold of queries, those learned on the other folds.
        positives: known positives that it was learned from. With too few, all judges have the same
            weight.
        share: upper bound on the share of relevant candidates; None if no weights were learned.
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
        """Learn from the known positives among the hits of the sources."""
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

    def save(self) -> SavedRelevance:
        """Return the model as relevance.json holds it."""
        weights = np.stack(self.weights, axis=1).tolist()
        similarity = self.scales[SIMILARITY]
        return SavedRelevance(
            positives=self.positives,
            share_of_relevant=self.share,
            constant=weights[0],
            judges={
                judge: JudgeWeights(
                    among_all=weights[1 + 2 * n],
                    within_query=weights[2 + 2 * n],
                    **asdict(self.scales[judge]),
                )
                for n, judge in enumerate(self.judges)
            },
            positive_similarity=SimilarityWeight(weight=SIMILARITY_WEIGHT, **asdict(similarity)),
            shift=self.shift,
        )

    @classmethod
    def load(cls, saved: SavedRelevance) -> Relevance:
        """Return the model that `save` was called on."""
        rows = [saved.constant]
        for judge in saved.judges.values():
            rows += [judge.among_all, judge.within_query]
        scales = {**saved.judges, SIMILARITY: saved.positive_similarity}
        return cls(
            tuple(saved.judges),
            {name: Scale(scale.mean, scale.deviation) for name, scale in scales.items()},
            tuple(np.array(rows).T),
            saved.positives,
            saved.share_of_relevant,
            saved.shift,
        )


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
