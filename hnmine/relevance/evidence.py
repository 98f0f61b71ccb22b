"""Features of a candidate for the relevance model: its scores, standardised in two ways."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from hnmine.ragged import Bools, Floats, Ints

SMALLEST_DEVIATION = 1e-9


def numbers(values: pa.ChunkedArray) -> Floats:
    """Return values as float64, NaN where they are null."""
    filled: Floats = pc.fill_null(values.cast(pa.float64()), np.nan).to_numpy()
    return filled


class Scale(BaseModel):
    """Mean and standard deviation of one judge's scores over the candidates of all queries."""

    model_config = ConfigDict(frozen=True)

    mean: float
    deviation: float

    @classmethod
    def of(cls, scores: Floats) -> Scale:
        """Measure the scale of scores; those that are not finite do not count."""
        known = scores[np.isfinite(scores)]
        if not len(known):
            return cls(mean=0.0, deviation=1.0)
        deviation = max(float(known.std()), SMALLEST_DEVIATION)
        return cls(mean=float(known.mean()), deviation=deviation)

    def apply(self, scores: Floats) -> Floats:
        """Return scores in standard deviations from the mean; 0 for those that are not finite."""
        return np.nan_to_num((scores - self.mean) / self.deviation, nan=0.0, posinf=0, neginf=0)


def within_query(scores: Floats, query: Ints, among: Bools) -> Floats:
    """Return scores in standard deviations from the mean of their query's candidates.

    A positive counts as one more candidate, because the model must see it as if no one had labelled
    it. Its own score then widens the deviation that it is measured by.

    Args:
        scores: shape (rows,).
        query: the query of each row, from 0.
        among: the candidates.
    """
    rows = among & np.isfinite(scores)
    queries = int(query.max(initial=-1)) + 1
    counts = np.bincount(query[rows], minlength=queries)
    mean = np.bincount(query[rows], scores[rows], queries) / np.maximum(counts, 1)
    centred = scores - mean[query]
    squares = np.bincount(query[rows], centred[rows] ** 2, queries)[query]
    n = counts[query]
    others = n / (n + 1)
    deviation = np.sqrt(
        np.where(among, squares / np.maximum(n, 1), (squares + others * centred**2) / (n + 1))
    )
    away = np.where(among, centred, others * centred)
    known = np.isfinite(away) & (deviation > SMALLEST_DEVIATION)
    return np.divide(away, deviation, out=np.zeros(len(scores)), where=known)


def features(
    scores: Mapping[str, Floats], scales: Mapping[str, Scale], query: Ints, among: Bools
) -> Floats:
    """Return two features for each judge, shape (rows, 2 * judges).

    One standardises the score over the candidates of all queries, the other over those of its own
    query. The first tells queries with many relevant documents from queries with none. The second
    corrects for queries that a judge scores high or low as a whole.

    Args:
        scores: of each judge, shape (rows,) each.
        scales: of each judge; the keys are the judges.
        query: the query of each row, from 0.
        among: the candidates.
    """
    columns = []
    for judge, scale in scales.items():
        columns += [scale.apply(scores[judge]), within_query(scores[judge], query, among)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(query), 0))
