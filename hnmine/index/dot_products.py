"""Dot products of float32 vectors, summed in float64 and rounded once to float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.ragged import Ints

Vectors = NDArray[np.float32]


@compiled(fastmath={"reassoc", "contract"})
def dots(
    queries: Vectors,
    query: Ints,
    vectors: Vectors,
    row: Ints,
    at: Ints,
    scores: NDArray[np.float32],
) -> None:
    """Write `queries[query[i]] @ vectors[row[i]]` to `scores[at[i]]`.

    A product depends on its two vectors alone, not on what is computed beside it.

    Args:
        queries: shape (queries, dimension).
        query: of each pair, shape (pairs,).
        vectors: shape (vectors, dimension); may be memory-mapped.
        row: of each pair, shape (pairs,).
        at: where each product belongs, shape (pairs,).
        scores: the output, one-dimensional.
    """
    dimension = queries.shape[1]
    for i in range(len(row)):
        left, right = queries[query[i]], vectors[row[i]]
        total = 0.0
        for d in range(dimension):
            total += np.float64(left[d]) * np.float64(right[d])
        scores[at[i]] = np.float32(total)
