"""Features of a candidate for the relevance model: its scores, standardised in two ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnmine.ragged import Bools, Floats, Ints

SMALLEST_DEVIATION = 1e-9


def numbers(values: pa.ChunkedArray) -> Floats:
    """Return values as float64, NaN where they are null."""
    filled: Floats = pc.fill_null(values.cast(pa.float64()), np.nan).to_numpy()
    return filled


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of one judge's scores over the candidates of all queries."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, scores: Floats) -> Scale:
        """Measure the scale of scores; those that are not finite do not count."""
        known = scores[np.isfinite(scores)]
        if not len(known):
            return cls(0.0, 1.0)
        return cls(float(known.mean()), max(float(known.std()), SMALLEST_DEVIATION))

    def apply(self, scores: Floats) -> Floats:
        """Return scores in standard deviations from the mean; 0 for those that are not finite."""
        return np.nan_to_num((scores - self.mean) / self.deviation, nan=0.0, posinf=0, neginf=0)


def within_query(scores: Floats, query: Ints, among: Bools) -> Floats:
    """Return scores in standard deviations from the mean of their query's candidates.

    A positive counts as one more candidate, because the model must see it as if nobody had labelled
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
    scores: Mapping[str, Floats],
    judges: Sequence[str],
    scales: Mapping[str, Scale],
    query: Ints,
    among: Bools,
) -> Floats:
    """Return two features for each judge, shape (rows, 2 * judges).

    One standardises the score over the candidates of all queries, the other over those of its own
    query. The first tells queries with many relevant documents from queries with none. The second
    corrects for queries that a judge scores high or low as a whole.
    """
    columns = []
    for judge in judges:
        columns += [
            scales[judge].apply(scores[judge]),
            within_query(scores[judge], query, among),
        ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(query), 0))
