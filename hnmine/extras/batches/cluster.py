"""Clusters of queries by their vectors: k-means, and balanced splitting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hnmine.index.dense_index import DenseIndex
from hnmine.ragged import Ints
from hnmine.runner.run_directory import Tick

QUERIES_PER_CLUSTER = 200
"""As in TAS-Balanced (Hofstaetter et al., SIGIR 2021): 2,000 clusters of 400,000 queries."""

BLOCK = 1 << 14
SPLIT_ROUNDS = 10
"""Most rounds; later ones move few queries."""


def balanced_order(vectors: DenseIndex, seed: int, tick: Tick) -> Ints:
    """Return an order of the queries in which near queries stand together.

    2-means with clusters of equal size splits the queries into halves, again and again, down to
    single ones (NGAME: Dahiya et al., WSDM 2023). A cluster of any size is a run of this order; see
    `cut`.

    Args:
        vectors: of the queries.
        seed: of the first centroids.
        tick: called with the number of queries just done.
    """
    order = np.arange(vectors.count)
    random = np.random.default_rng(seed)
    todo = [(0, vectors.count)]
    while todo:
        first, last = todo.pop()
        if last - first > 2:
            order[first:last] = _halves(vectors, order[first:last], random)
            middle = _middle(first, last)
            todo += [(middle, last), (first, middle)]
        else:
            tick(last - first)
    return order


def _middle(first: int, last: int) -> int:
    return (first + last + 1) // 2


def _halves(vectors: DenseIndex, members: Ints, random: np.random.Generator) -> Ints:
    """Return members with the first half, rounded up, before the second."""
    half = _middle(0, len(members))
    centroids = vectors.directions(np.sort(random.permutation(members)[:2])).astype(np.float64)
    halves = members
    for _ in range(SPLIT_ROUNDS):
        preference = _products(vectors, members, centroids[0] - centroids[1])
        order = np.argsort(-preference, kind="stable")
        found = np.concatenate([members[np.sort(part)] for part in (order[:half], order[half:])])
        if np.array_equal(found, halves):
            break
        halves = found
        centroids = np.stack([_centroid(vectors, halves[:half]), _centroid(vectors, halves[half:])])
    return halves


def _products(
    vectors: DenseIndex, members: Ints, direction: NDArray[np.float64]
) -> NDArray[np.float64]:
    parts = [
        np.einsum("ij,j->i", vectors.directions(members[start : start + BLOCK]), direction)
        for start in range(0, len(members), BLOCK)
    ]
    return np.concatenate(parts)


def _centroid(vectors: DenseIndex, members: Ints) -> NDArray[np.float64]:
    total = np.zeros(vectors.dimension)
    for start in range(0, len(members), BLOCK):
        total += vectors.directions(members[start : start + BLOCK]).sum(axis=0, dtype=np.float64)
    norm = float(np.linalg.norm(total))
    return total / norm if norm else total


def cut(queries: int, size: int) -> Ints:
    """Return where the clusters of at most `size` queries begin in `balanced_order`.

    Halving gives sizes that differ by at most one.
    """
    depth = (-(-queries // size) - 1).bit_length()
    return np.array(list(_cut(0, queries, depth)), dtype=np.int64)


def _cut(first: int, last: int, depth: int) -> Iterator[int]:
    if depth == 0 or last - first <= 1:
        yield first
    else:
        middle = _middle(first, last)
        yield from _cut(first, middle, depth - 1)
        yield from _cut(middle, last, depth - 1)
