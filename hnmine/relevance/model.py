"""The relevance model: learned on a sample of the queries, applied to every candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import BaseModel, ConfigDict

from hnmine.choose import choose
from hnmine.names import DEFAULT_SOURCES, in_order, rank_of
from hnmine.ragged import Bools, Floats
from hnmine.relevance.evidence import Scale, features, numbers
from hnmine.relevance.pu_learning import DIGITS, equal_weights, evidence_of, learn

SIMILARITY = "positive_similarity"
SIMILARITY_WEIGHT = 0.4
"""Log odds for each standard deviation of similarity to the positive. It cannot be learned: each
positive is its own nearest neighbour. From 0.3 to 0.6 it helped on three of four collections and
harmed none."""

NOT_EVIDENCE = (SIMILARITY, "verdict")
"""Columns of judges that the model does not use."""

FEWEST_QUERIES = 20
"""With fewer queries whose positive the sources found, no weights are learned."""

FOLDS = 2


class Sample:
    """The rows of some queries, as arrays.

    Args:
        table: candidates with the judges' columns; all rows of a query stand together.
        judges: names of the score columns.
        sources: that found the candidates.
        reach: by source, how many of its candidates a query's reference holds; empty for all.

    Attributes:
        reference: the candidates that a query's scores are standardised by. Those that only deeper
            mining found are not among them: one list would be measured by another.
    """

    def __init__(
        self,
        table: pa.Table,
        judges: Sequence[str],
        sources: Sequence[str] = DEFAULT_SOURCES,
        reach: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        rows = table["query_row"].to_numpy()
        self.query = np.cumsum(np.diff(rows, prepend=rows[:1]) != 0).astype(np.int64)
        self.is_positive: Bools = table["is_positive"].to_numpy()
        self.candidate: Bools = pc.is_valid(table["rank"]).to_numpy()
        self.rank = numbers(table["rank"])
        lists = [rank_of(name) for name in in_order(sources, table.column_names)]
        found = [pc.is_valid(table[column]).to_numpy() for column in lists]
        self.found = np.any([np.zeros(len(rows), dtype=bool), *found], axis=0)
        near = [
            self._first(numbers(table[rank_of(name)]), n)
            for name, n in reach.items()
            if rank_of(name) in table.column_names
        ]
        self.reference: Bools = np.any(near, axis=0) if near else self.candidate
        self.scores = {name: numbers(table[name]) for name in judges}
        similar = SIMILARITY in table.column_names
        self.similarity = numbers(table[SIMILARITY]) if similar else np.full(len(rows), np.nan)
        ids = table["query_id"].to_pylist()
        first = np.flatnonzero(np.diff(self.query, prepend=-1))
        hashes = np.array([_hash(ids[row]) for row in first], dtype=np.uint64)
        self.fold = (hashes % np.uint64(FOLDS)).astype(np.int64)[self.query]

    def _first(self, rank: Floats, n: int) -> Bools:
        queries = int(self.query.max(initial=-1)) + 1
        return choose(self.query, self.candidate & np.isfinite(rank), rank, np.full(queries, n))


def _hash(query_id: str) -> int:
    return xxhash.xxh3_64_intdigest(query_id.encode("utf-8", "surrogatepass"), 4)


@dataclass(frozen=True)
class Estimates:
    """Scores that order the rows of a sample, shape (rows,) each: higher is more doubtful.

    They are no probabilities: with a labelled positive or two for each query, the share of
    relevant candidates is not identified.

    Attributes:
        evidence: log likelihood ratio from the judges alone.
        relevance: log likelihood ratio that includes the similarity to the positive.
    """

    evidence: Floats
    relevance: Floats


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
        positives: known positives that the sources found.
        fitted: whether weights were learned from them. With too few queries, all judges have the
            same weight.
        constant: intercept, for each fold of queries. A fold's weights come from the other folds.
        judges: the score columns that it uses.
        positive_similarity: weight of the similarity to the positive.
        shift: makes the mean of exp(relevance) over all candidates 1.
    """

    model_config = ConfigDict(frozen=True)

    positives: int
    fitted: bool = False
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
        enough = len(np.unique(sample.query[positive])) >= FEWEST_QUERIES and all(
            (positive & rows).any() and (candidate & rows).any() for rows in seen
        )
        fits = [
            learn(x[positive & rows], x[candidate & rows]) if enough else equal_weights(x.shape[1])
            for rows in seen
        ]
        constant, *weights = np.stack(fits, axis=1).tolist()
        similarity = Scale.of(sample.similarity[candidate])
        model = cls(
            positives=int(positive.sum()),
            fitted=enough,
            constant=constant,
            judges={
                name: JudgeWeights(**dict(scale), among_all=among_all, within_query=within_query)
                for (name, scale), among_all, within_query in zip(
                    scales.items(), weights[::2], weights[1::2], strict=True
                )
            },
            positive_similarity=SimilarityWeight(**dict(similarity)),
        )
        shift = _shift(model.estimate(sample).relevance[candidate])
        return model.model_copy(update={"shift": shift})

    @property
    def weights(self) -> tuple[Floats, ...]:
        """For each fold of queries, the intercept and the weight of each feature."""
        rows = [self.constant]
        for judge in self.judges.values():
            rows += [judge.among_all, judge.within_query]
        return tuple(np.array(rows).T)

    def estimate(self, sample: Sample) -> Estimates:
        """Return the scores of each row."""
        x = features(sample.scores, self.judges, sample.query, sample.reference)
        by_fold = np.stack([evidence_of(weights, x) for weights in self.weights])
        evidence: Floats = by_fold[sample.fold, np.arange(len(x))]
        similarity = self.positive_similarity.apply(sample.similarity)
        relevance: Floats = evidence + SIMILARITY_WEIGHT * similarity + self.shift
        return Estimates(evidence, relevance)


def _shift(log_ratio: Floats) -> float:
    """Return the constant that makes the mean of exp(log_ratio) 1, rounded; 0 without rows."""
    if not len(log_ratio):
        return 0.0
    top = log_ratio.max()
    return round(-float(top + np.log(np.exp(log_ratio - top).mean())), DIGITS)
