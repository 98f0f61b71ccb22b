"""Project vectors to fewer dimensions, so that the trial of depths costs the same at any width."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.ragged import Floats

WIDEST = 256
"""Dimensions that linear probes train in."""

SEED = 10
ROWS = 4096
"""Vectors that the subspace is found from, and vectors that are projected at once."""

ROUNDS = 2
"""Products with the vectors' second moments; each turns the subspace further to the largest."""


def subspace(vectors: NDArray[np.float32]) -> Floats | None:
    """Return an orthonormal basis of about the largest principal directions; None if not needed.

    The randomized range finder (Halko, Martinsson and Tropp 2011) with a fixed seed: its cost grows
    with the dimension, not with its square. The basis is turned at random. Adam moves each
    coordinate by as much: along principal axes, it would move the small ones too far.

    Args:
        vectors: shape (rows, dimension).

    Returns:
        The basis, shape (dimension, `WIDEST`); None where the vectors have no more dimensions.
    """
    dimension = vectors.shape[1]
    if dimension <= WIDEST:
        return None
    random = np.random.default_rng(SEED)
    # In float64, so that the number of threads changes no digit that is kept.
    some = vectors[:: -(-len(vectors) // ROWS)].astype(np.float64)
    basis = random.normal(size=(dimension, WIDEST))
    for _ in range(ROUNDS):
        basis, _ = np.linalg.qr(some.T @ (some @ basis))
    turn, _ = np.linalg.qr(random.normal(size=(WIDEST, WIDEST)))
    turned: Floats = basis @ turn
    return turned


def unit_vectors(vectors: NDArray[np.float32], basis: Floats | None) -> Floats:
    """Return the vectors in a basis, at unit length; zero vectors stay zero."""
    blocks = np.array_split(vectors, -(-len(vectors) // ROWS) or 1)
    found = (
        np.concatenate([block.astype(np.float64) @ basis for block in blocks])
        if (basis is not None)
        else vectors.astype(np.float64)
    )
    length = np.linalg.norm(found, axis=1, keepdims=True)
    unit: Floats = np.divide(found, length, out=np.zeros_like(found), where=length > 0)
    return unit
