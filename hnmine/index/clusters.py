"""Clusters of the documents' vectors, for conditions such as `doc.cluster = positive.cluster`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.errors import UsageError
from hnmine.index.dense import DenseIndex

TRAINING_VECTORS = 1 << 18
BLOCK = 1 << 16


def cluster_documents(
    index: DenseIndex, clusters: int, seed: int, threads: int
) -> NDArray[np.int64]:
    """Assign every document to a cluster by spherical k-means, shape (documents,).

    Args:
        index: the vectors.
        clusters: how many.
        seed: of the first centres.
        threads: the last digits of the centres may depend on it.

    Raises:
        UsageError: there are fewer documents than clusters.
    """
    import faiss

    if index.count < clusters:
        raise UsageError(
            f"--clusters {clusters:,} is more than there are documents ({index.count:,}).",
            fix="Ask for fewer.",
        )
    faiss.omp_set_num_threads(threads)
    drawn = np.arange(0, index.count, max(1, index.count // TRAINING_VECTORS))
    kmeans = faiss.Kmeans(
        index.dimension, clusters, niter=20, seed=seed, spherical=True, min_points_per_centroid=1
    )
    kmeans.train(index.read(drawn))
    assigned = np.empty(index.count, dtype=np.int64)
    for start in range(0, index.count, BLOCK):
        block = np.arange(start, min(start + BLOCK, index.count))
        assigned[block] = kmeans.index.search(index.read(block), 1)[1][:, 0]
    return assigned
