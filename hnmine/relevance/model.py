"""The relevance model: learned on a sample of the queries, applied to every candidate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from hnmine.choose import choose
from hnmine.keyed_noise import hashes
from hnmine.names import DEFAULT_SOURCES, in_order, rank_of
from hnmine.ragged import Bools, Floats
from hnmine.relevance.evidence import Scale, features, numbers, within_query
from hnmine.relevance.neighbours import Directions, neighbour_means
from hnmine.relevance.pu_learning import DIGITS, equal_weights, evidence_of, learn

SIMILARITY = "positive_similarity"
SIMILARITY_WEIGHT = 0.2
"""Log odds for each standard deviation of similarity to the positive: once by all candidates, once
by those of the query. It cannot be learned: each positive is its own nearest neighbour."""

NEIGHBOURS = "neighbours"
"""The judge that knows only what the others say of the candidates around a document."""

LEVEL_WEIGHT = 0.25
"""How much of a positive's surplus of evidence is taken from the candidates of its query. It cannot
be learned either: no positive is above or below itself."""

NOT_EVIDENCE = (SIMILARITY, "verdict")
"""Columns of judges that the model does not use."""

FEWEST_QUERIES = 10
"""With fewer queries whose positive the sources found, no weights are learned."""

FOLDS, SEED = 2, 4


class Sample:
    """The rows of some queries, as arrays.

    Args:
        table: candidates with the judges' columns; all rows of a query stand together.
        judges: names of the score columns.
        sources: that found the candidates.
        reach: by source, how many of its candidates a query's reference holds; empty for all.
        directions: reads the vectors of documents, given by row; None without vectors.

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
        directions: Directions | None = None,
    ) -> None:
        rows = table["query_row"].to_numpy()
        self.query = np.cumsum(np.diff(rows, prepend=rows[:1]) != 0).astype(np.int64)
        self.is_positive: Bools = table["is_positive"].to_numpy()
        self.candidate: Bools = pc.is_valid(table["rank"]).to_numpy()
        self.rank = numbers(table["rank"])
        lists = [rank_of(name) for name in in_order(sources, table.column_names)]
        found = [pc.is_valid(table[column]).to_numpy() for column in lists]
        self._found = dict(zip(lists, found, strict=True))
        self.found = np.any([np.zeros(len(rows), dtype=bool), *found], axis=0)
        near = [
            self._first(numbers(table[rank_of(name)]), n)
            for name, n in reach.items()
            if rank_of(name) in table.column_names
        ]
        self.reference: Bools = np.any(near, axis=0) if near else self.candidate
        self.scores = {name: numbers(table[name]) for name in judges}
        self.directions = directions
        self._doc_rows = table["doc_row"].to_numpy() if directions else rows
        self._smoothed: tuple[Floats, Floats] | None = None
        similar = SIMILARITY in table.column_names
        self.similarity = numbers(table[SIMILARITY]) if similar else np.full(len(rows), np.nan)
        ids = table["query_id"].to_pylist()
        first = np.flatnonzero(np.diff(self.query, prepend=-1))
        fold = hashes([ids[row] for row in first], SEED) % np.uint64(FOLDS)
        self.fold = fold.astype(np.int64)[self.query]

    def neighbour_means(self, values: Floats) -> Floats:
        """Return the mean value of the candidates around each row; NaN without vectors."""
        if self.directions is None:
            return np.full(len(values), np.nan)
        if self._smoothed is None or not np.array_equal(self._smoothed[0], values):
            rows = self.query, self.reference, self._doc_rows
            self._smoothed = values, neighbour_means(values, *rows, self.directions)
        return self._smoothed[1]

    def found_by(self, sources: Iterable[str]) -> Bools:
        """Mark the rows that one of these sources found, shape (rows,)."""
        columns = {rank_of(name) for name in sources}
        found = [rows for name, rows in self._found.items() if name in columns]
        return np.any([np.zeros(len(self.query), dtype=bool), *found], axis=0)

    def _first(self, rank: Floats, n: int) -> Bools:
        queries = int(self.query.max(initial=-1)) + 1
        return choose(self.query, self.candidate & np.isfinite(rank), rank, np.full(queries, n))


@dataclass(frozen=True)
class Estimates:
    """Scores that order the rows of a sample, shape (rows,) each: higher is more doubtful.

    They are no probabilities: with a labelled positive or two for each query, the share of
    relevant candidates is not identified.

    Attributes:
        evidence: log likelihood ratio from the judges alone.
        relevance: log likelihood ratio that includes the similarity to the positive and the
            evidence on it.
    """

    evidence: Floats
    relevance: Floats


class JudgeWeights(Scale):
    """The weights of one judge, one for each fold of queries, and the scale of its scores.

    Attributes:
        among_all: of the score standardised by all candidates.
        within_query: of the score standardised by those of the query.
        as_neighbour: of the latter in what a document's neighbours say.
    """

    among_all: list[float]
    within_query: list[float]
    as_neighbour: tuple[float, ...] = ()


class SimilarityWeight(Scale):
    """The weights of the similarity to the positive, and its scale."""

    weight: float = SIMILARITY_WEIGHT
    within_query: float = 0.0


class Relevance(BaseModel):
    """A model of relevance; its fields are those of relevance.json.

    Attributes:
        positives: known positives that the sources found.
        fitted: whether weights were learned from them. With too few queries, all judges have the
            same weight.
        constant: intercept, for each fold of queries. A fold's weights come from the other folds.
        judges: the score columns that it uses, and `NEIGHBOURS`, where documents have vectors.
        positive_similarity: weight of the similarity to the positive.
        level: weight of the evidence on the positive.
        usual_level: mean evidence on a positive.
        shift: makes the mean of exp(relevance) over all candidates 1.
    """

    model_config = ConfigDict(frozen=True)

    positives: int
    fitted: bool = False
    constant: list[float]
    judges: dict[str, JudgeWeights]
    positive_similarity: SimilarityWeight
    level: float = 0.0
    usual_level: float = 0.0
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
        x = features(sample.scores, scales, sample.query, sample.reference)
        seen = [sample.fold != fold for fold in range(FOLDS)]
        enough = len(np.unique(sample.query[positive])) >= FEWEST_QUERIES and all(
            (positive & rows).any() and (candidate & rows).any() for rows in seen
        )
        shares: list[Sequence[float]] = [()] * len(scales)
        if sample.directions is not None and scales:
            by_fold = np.stack([_shares(x[positive & rows & enough]) for rows in seen])
            means, shares = _neighbours(sample, x, by_fold), [*by_fold.T.tolist(), ()]
            scales[NEIGHBOURS] = Scale.of(means[candidate])
            x = np.hstack([x, _two(sample, means, scales[NEIGHBOURS])])
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
                name: JudgeWeights(
                    **dict(scale), among_all=among_all, within_query=within, as_neighbour=share
                )
                for (name, scale), among_all, within, share in zip(
                    scales.items(), weights[::2], weights[1::2], shares, strict=True
                )
            },
            positive_similarity=SimilarityWeight(
                **dict(similarity), within_query=SIMILARITY_WEIGHT
            ),
            level=LEVEL_WEIGHT,
        )
        levels = model._evidence(sample, x)[positive]
        usual = round(float(levels.mean()), DIGITS) if len(levels) else 0.0
        model = model.model_copy(update={"usual_level": usual})
        shift = _shift(model._estimates(sample, x).relevance[candidate])
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
        judges = {name: judge for name, judge in self.judges.items() if name != NEIGHBOURS}
        x = features(sample.scores, judges, sample.query, sample.reference)
        if NEIGHBOURS in self.judges:
            shares = np.array([judge.as_neighbour for judge in judges.values()]).T
            means = _neighbours(sample, x, shares)
            x = np.hstack([x, _two(sample, means, self.judges[NEIGHBOURS])])
        return self._estimates(sample, x)

    def _evidence(self, sample: Sample, x: Floats) -> Floats:
        by_fold = np.stack([evidence_of(weights, x) for weights in self.weights])
        evidence: Floats = by_fold[sample.fold, np.arange(len(x))]
        return evidence

    def _estimates(self, sample: Sample, x: Floats) -> Estimates:
        evidence, similarity = self._evidence(sample, x), self.positive_similarity
        relevance = (
            evidence
            + similarity.weight * similarity.apply(sample.similarity)
            + similarity.within_query
            * within_query(sample.similarity, sample.query, sample.reference)
            - self.level * self._surplus(sample, evidence)
            + self.shift
        )
        return Estimates(evidence, relevance)

    def _surplus(self, sample: Sample, evidence: Floats) -> Floats:
        """Return by how much the evidence on each query's positives exceeds the usual.

        It is 0 for queries without a positive.
        """
        query, positive = sample.query, sample.is_positive
        counts = np.bincount(query[positive], minlength=int(query.max(initial=-1)) + 1)
        surplus = np.bincount(query[positive], evidence[positive] - self.usual_level, len(counts))
        each: Floats = (surplus / np.maximum(counts, 1))[query]
        return each


def _shares(x: Floats) -> Floats:
    """Return by how much each judge puts positives above their query's candidates, to sum 1.

    A judge that cannot tell them apart has no say. Without positives, all have the same.

    Args:
        x: features of positives.
    """
    apart: Floats = np.maximum(x[:, 1::2].mean(axis=0), 0) if len(x) else np.zeros(x.shape[1] // 2)
    if not apart.any():
        apart = np.ones(len(apart))
    return np.round(apart / apart.sum(), DIGITS)


def _neighbours(sample: Sample, x: Floats, shares: Floats) -> Floats:
    """Return what the judges say of the candidates around each row; NaN without vectors."""
    return sample.neighbour_means((x[:, 1::2] * shares[sample.fold]).sum(axis=1))


def _two(sample: Sample, scores: Floats, scale: Scale) -> Floats:
    of = {NEIGHBOURS: scores}, {NEIGHBOURS: scale}
    return features(*of, sample.query, sample.reference)


def _shift(log_ratio: Floats) -> float:
    """Return the constant that makes the mean of exp(log_ratio) 1, rounded; 0 without rows."""
    if not len(log_ratio):
        return 0.0
    top = log_ratio.max()
    return round(-float(top + np.log(np.exp(log_ratio - top).mean())), DIGITS)
