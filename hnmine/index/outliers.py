"""How far each document's vector is from the corpus: the Mahalanobis distance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hnmine.index.dense_index import DenseIndex
from hnmine.ragged import Floats, Ints

BLOCK = 1 << 13
"""Vectors in memory at once."""


def outlier_scores(vectors: DenseIndex) -> NDArray[np.float32]:
    """Return the Mahalanobis distance of each vector's direction, shape (vectors,).

    The distance is divided by the square root of the dimension, so that a usual document has about
    1 at any width. The covariance is shrunk to a multiple of the identity (Chen et al., "Shrinkage
    algorithms for MMSE covariance estimation", 2010), so that a corpus may have fewer documents
    than dimensions. Documents without a vector have NaN.
    """
    mean, covariance, count = _moments(vectors)
    found = np.full(vectors.count, np.nan, np.float32)
    if not covariance.any():  # All are equal, or there is none.
        found[np.concatenate([slots for slots, _ in _blocks(vectors)])] = 0
        return found
    root = np.linalg.cholesky(np.linalg.inv(shrunk(covariance, count)))
    for slots, block in _blocks(vectors):
        whitened = (block - mean) @ root
        found[slots] = np.sqrt(np.einsum("ij,ij->i", whitened, whitened) / vectors.dimension)
    return found


def shrunk(covariance: Floats, count: int) -> Floats:
    """Return a covariance shrunk to the multiple of the identity with its trace.

    Args:
        covariance: of the sample, shape (dimension, dimension).
        count: vectors in the sample.
    """
    dimension = len(covariance)
    trace, squares = np.trace(covariance), float((covariance**2).sum())
    above = (1 - 2 / dimension) * squares + trace**2
    below = (count + 1 - 2 / dimension) * (squares - trace**2 / dimension)
    share = min(1.0, above / below) if below > 0 else 1.0
    target = np.eye(dimension) * trace / dimension
    return np.asarray((1 - share) * covariance + share * target)


def _moments(vectors: DenseIndex) -> tuple[Floats, Floats, int]:
    """Return the mean, the covariance and the number of the directions, in two passes."""
    total, count = np.zeros(vectors.dimension), 0
    for slots, block in _blocks(vectors):
        total, count = total + block.sum(axis=0), count + len(slots)
    mean = total / max(count, 1)
    products = np.zeros((vectors.dimension, vectors.dimension))
    for _, block in _blocks(vectors):
        products += (block - mean).T @ (block - mean)
    return mean, products / max(count, 1), count


def _blocks(vectors: DenseIndex) -> Iterator[tuple[Ints, Floats]]:
    """Yield the slots with a vector, and their directions in float64."""
    for start in range(0, vectors.count, BLOCK):
        slots = np.arange(start, min(start + BLOCK, vectors.count))
        # In float64, so that the number of threads changes no digit that is kept.
        block = vectors.directions(slots).astype(np.float64)
        known = block.any(axis=1)
        yield slots[known], block[known]
