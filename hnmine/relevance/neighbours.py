"""What the judges say of the candidates that a document resembles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hnmine.ragged import Bools, Floats, Ints, offsets_of

WIDTH = 0.2
"""A neighbour's weight is exp((cosine - 1) / WIDTH)."""

PULL = 0.3
"""Weight with which a mean is pulled to that of the query's candidates: a document that resembles
none of them has no neighbours to be judged by."""

STEPS = 2048
"""Unit vectors are rounded to 1 / STEPS. Products of such integers are exact in float32, in any
order, so that no number of threads changes a cosine."""

ROWS_AT_ONCE = 1 << 13
PAIRS_AT_ONCE = 1 << 22

Directions = Callable[[Ints], NDArray[np.float32]]
"""Returns the unit vectors of documents, shape (documents, dimension)."""


def neighbour_means(
    values: Floats, query: Ints, among: Bools, documents: Ints, directions: Directions
) -> Floats:
    """Return the weighted mean value of the candidates around each row, less that of its query.

    Args:
        values: of each row, shape (rows,).
        query: the query of each row, from 0; all rows of a query stand together.
        among: the candidates. No row is its own neighbour.
        documents: of each row, as `directions` takes them.
        directions: reads their vectors.
    """
    means = np.zeros(len(values))
    offsets = offsets_of(np.bincount(query))
    starts = offsets[:-1] // ROWS_AT_ONCE
    blocks = np.split(np.arange(len(starts)), np.flatnonzero(np.diff(starts)) + 1)
    for block in blocks if len(starts) else []:
        start = offsets[block[0]]
        vectors = np.rint(directions(documents[start : offsets[block[-1] + 1]]) * STEPS)
        for one in block:
            own = slice(offsets[one], offsets[one + 1])
            here = slice(own.start - start, own.stop - start)
            means[own] = _means(values[own], among[own], vectors[here])
    return means


def _means(values: Floats, among: Bools, vectors: NDArray[np.float32]) -> Floats:
    means = np.zeros(len(values))
    if not among.any():
        return means
    away = np.where(among, values - values[among].mean(), 0.0)
    rows = max(1, PAIRS_AT_ONCE // len(values))
    for start in range(0, len(values), rows):
        block = slice(start, min(start + rows, len(values)))
        weights = vectors[block] @ vectors.T
        weights *= np.float32(1 / (STEPS * STEPS * WIDTH))
        weights -= np.float32(1 / WIDTH)
        np.exp(weights, out=weights)
        weights *= among
        np.fill_diagonal(weights[:, start:], 0)
        total = weights.sum(axis=1, dtype=np.float64)
        means[block] = np.einsum("ij,j->i", weights, away) / (total + PULL)
    return means
