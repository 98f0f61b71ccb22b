"""A linear probe: a square matrix trained on top of a frozen encoder, in about a second.

The matrix begins as the identity. At the first step the loss and the gradient on every vector are
therefore those of the full encoder.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hnmine.keyed_noise import keyed_noise
from hnmine.ragged import Bools, Floats, Ints

Real = TypeVar("Real", np.float32, np.float64)

SCALE = 20.0
BATCH = 32
EPOCHS = 4
RATE = 0.15
"""Learning rate times the dimension: the most that a step can move a unit vector."""

SHARPNESS = 8.0
LARGEST_LEAD = np.float32(60.0)
"""Beyond it a sigmoid is 0 or 1 in float32."""

ASKED_AT_ONCE = 256
SEED = 7
MOMENTUM, SQUARES, TINY = 0.9, 0.999, 1e-8
"""Adam's decay rates and its epsilon."""


def train(ids: list[str], queries: Floats, vectors: Floats, documents: Ints) -> Floats:
    """Train a probe with the contrastive loss and Adam.

    Args:
        ids: of the queries; they decide the batches.
        queries: unit vectors, shape (rows, dimension).
        vectors: of all documents, unit length, shape (documents, dimension).
        documents: of each row, its positive and then its negatives, shape (rows, 1 + negatives).

    Returns:
        The matrix, shape (dimension, dimension).
    """
    matrix = np.eye(queries.shape[1])
    mean, square = np.zeros_like(matrix), np.zeros_like(matrix)
    batches = max(1, len(ids) // BATCH)
    step = 0
    for epoch in range(EPOCHS):
        noise = keyed_noise(SEED, ids, [f"epoch {epoch}"] * len(ids))
        for rows in np.array_split(np.argsort(noise, kind="stable"), batches):
            gradient = gradient_of(matrix, queries[rows], vectors, documents[rows])
            step += 1
            mean = MOMENTUM * mean + (1 - MOMENTUM) * gradient
            square = SQUARES * square + (1 - SQUARES) * gradient**2
            size = np.sqrt(square / (1 - SQUARES**step)) + TINY
            rate = RATE / len(matrix) * (1 - (step - 1) / (EPOCHS * batches))
            matrix -= rate * mean / (1 - MOMENTUM**step) / size
    return matrix


def gradient_of(matrix: Floats, queries: Floats, vectors: Floats, documents: Ints) -> Floats:
    """Return the gradient of a batch's contrastive loss, shape (dimension, dimension)."""
    chance, (u, u_size), (v, v_size) = _chances(matrix, queries, vectors, documents)
    n = np.arange(len(queries))
    chance[n, n] -= 1
    chance *= SCALE / len(queries)
    du, dv = chance @ v, chance.T @ u
    du = (du - (du * u).sum(axis=1, keepdims=True) * u) / u_size
    dv = (dv - (dv * v).sum(axis=1, keepdims=True) * v) / v_size
    gradient: Floats = du.T @ queries + dv.T @ vectors[documents.T.ravel()]
    return gradient


def _chances(
    matrix: Floats, queries: Floats, vectors: Floats, documents: Ints
) -> tuple[Floats, tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Return the softmax of each query over the batch's documents, and the projected vectors.

    The documents are the positives of the batch, in order, and then its negatives. Copies of a
    query's own positive are masked.
    """
    listed = documents.T.ravel()
    u, v = _project(matrix, queries), _project(matrix, vectors[listed])
    logits = SCALE * u[0] @ v[0].T
    again = listed == documents[:, :1]
    np.fill_diagonal(again, False)
    logits[again] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    chance = np.exp(logits)
    chance /= chance.sum(axis=1, keepdims=True)
    return chance, u, v


def _project(matrix: NDArray[Real], vectors: NDArray[Real]) -> tuple[NDArray[Real], NDArray[Real]]:
    """Return mapped vectors at unit length, and their lengths before."""
    mapped = vectors @ matrix.T
    size = np.linalg.norm(mapped, axis=1, keepdims=True)
    return mapped / size, size


def soft_ranks(
    matrix: Floats, queries: Floats, vectors: Floats, asked: tuple[Ints, Ints], others: Bools
) -> Floats:
    """Return log2(1 + soft rank) of each asked document among the others of its query.

    A soft rank adds up, over the others, the sigmoid of their lead in standard deviations of the
    query's scores, times `SHARPNESS`. Unlike a rank, it also tells by how much a first document
    leads. Unlike a log loss, it does not fall where a probe only spreads the scores.

    Args:
        matrix: of `train`.
        queries: unit vectors, shape (queries, dimension).
        vectors: of all documents, shape (documents, dimension).
        asked: the query and the document of each rank, by row, shape (ranks,) each.
        others: whether a document competes in a query, shape (queries, documents).
    """
    # Scores are compared in float32, and projecting all documents is most of the work.
    single = matrix.astype(np.float32)
    u, v = (_project(single, unit.astype(np.float32))[0] for unit in (queries, vectors))
    scores = u @ v.T
    deviation = np.maximum(scores.std(axis=1, keepdims=True), np.float32(TINY))
    scores *= np.float32(SHARPNESS) / deviation
    query, document = asked
    found = np.empty(len(query))
    for start in range(0, len(query), ASKED_AT_ONCE):
        rows = slice(start, start + ASKED_AT_ONCE)
        lead = scores[query[rows]] - scores[query[rows], document[rows]][:, None]
        np.clip(lead, -LARGEST_LEAD, LARGEST_LEAD, out=lead)
        share = 1 / (1 + np.exp(-lead))
        found[rows] = np.where(others[query[rows]], share, 0).sum(axis=1, dtype=np.float64)
    return np.log2(1 + found)
