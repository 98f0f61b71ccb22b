"""Cluster vectors of documents or queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from hnmine.index.dense_index import DenseIndex
from hnmine.ragged import Ints
from hnmine.runner.run_directory import Tick

SAMPLE_PER_CLUSTER = 256
BLOCK = 1 << 14

Vectors = NDArray[np.float32]


def k_means(vectors: DenseIndex, clusters: int, seed: int, tick: Tick) -> Ints:
    """Return the cluster of each vector by k-means on directions, shape (vectors,)."""
    return nearest_centre(vectors, centres_of(vectors, clusters, seed), tick)


def centres_of(vectors: DenseIndex, clusters: int, seed: int) -> Vectors:
    """Return the centres of k-means on directions, shape (clusters, dimension)."""
    import faiss

    random = np.random.default_rng(seed)
    drawn = min(vectors.count, clusters * SAMPLE_PER_CLUSTER)
    sample = vectors.directions(np.sort(random.permutation(vectors.count)[:drawn]))
    trained = faiss.Kmeans(
        vectors.dimension, clusters, seed=seed, spherical=True, min_points_per_centroid=1
    )
    with _one_thread():
        trained.train(sample)
    centres: Vectors = trained.centroids
    return centres


def nearest_centre(vectors: DenseIndex, centres: Vectors, tick: Tick) -> Ints:
    """Return the cluster of each vector, given the centres, shape (vectors,)."""
    found = np.empty(vectors.count, dtype=np.int64)
    for start in range(0, vectors.count, BLOCK):
        block = np.arange(start, min(start + BLOCK, vectors.count))
        found[block] = nearest(vectors.directions(block), centres)
        tick(len(block))
    return found


def nearest(directions: Vectors, centres: Vectors) -> Ints:
    """Return the cluster of each unit vector, shape (n,)."""
    import faiss

    index = faiss.IndexFlatIP(centres.shape[1])
    index.add(np.ascontiguousarray(centres))
    with _one_thread():
        found: Ints = index.search(directions, 1)[1][:, 0]
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let FAISS compute on one thread, because sums of floats depend on their order."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
