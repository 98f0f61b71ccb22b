"""Cluster vectors of documents or queries."""

from __future__ import annotations

import numpy as np

from hnmine.index.dense_index import DenseIndex
from hnmine.ragged import Ints
from hnmine.runner.run_directory import Tick

SAMPLE_PER_CLUSTER = 256
BLOCK = 1 << 14


def k_means(vectors: DenseIndex, clusters: int, seed: int, tick: Tick) -> Ints:
    """Return the cluster of each vector by k-means on directions, shape (vectors,).

    FAISS trains on one thread, because sums of floats depend on their order.
    """
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        random = np.random.default_rng(seed)
        drawn = min(vectors.count, clusters * SAMPLE_PER_CLUSTER)
        sample = vectors.directions(np.sort(random.permutation(vectors.count)[:drawn]))
        trained = faiss.Kmeans(
            vectors.dimension, clusters, seed=seed, spherical=True, min_points_per_centroid=1
        )
        trained.train(sample)
        found = np.empty(vectors.count, dtype=np.int64)
        for start in range(0, vectors.count, BLOCK):
            block = np.arange(start, min(start + BLOCK, vectors.count))
            found[block] = trained.index.search(vectors.directions(block), 1)[1][:, 0]
            tick(len(block))
        return found
    finally:
        faiss.omp_set_num_threads(threads)
