"""Sources that search by vector: near the query, near its positives, or near similar queries."""

from __future__ import annotations

from functools import partial

import numpy as np

from hnmine.index.dense_index import DenseIndex
from hnmine.index.topk import Ranking
from hnmine.ragged import Ints
from hnmine.sources.queryvectors import open_query_vectors
from hnmine.sources.source import (
    Asked,
    Mining,
    Score,
    Search,
    Source,
    best_of_each,
    best_of_positives,
)


def _vectors(mining: Mining) -> DenseIndex:
    return mining.index.vectors(mining.threads, mining.faiss_search, mining.device)


def open_dense(mining: Mining) -> Source:
    """Search with the query's vector."""
    vectors, queries = _vectors(mining), open_query_vectors(mining)

    def search(asked: Asked) -> Search:
        return partial(vectors.search, queries.read(asked.rows))

    def score(asked: Asked) -> Score:
        return partial(vectors.score, queries.read(asked.rows))

    return Source(search, score)


def open_dense_from_positive(mining: Mining) -> Source:
    """Search with the vector of each positive; a document gets the best of its scores."""
    vectors, documents = _vectors(mining), mining.index.documents

    def search(asked: Asked) -> Search:
        offsets, rows = asked.positives
        positives = vectors.read(documents.slots(rows))
        return best_of_positives(offsets, partial(vectors.search, positives))

    return Source(search)


def open_dense_from_queries(mining: Mining) -> Source:
    """Take the positives of the queries that are most similar to the query."""
    queries, documents = open_query_vectors(mining), mining.index.documents

    def search(asked: Asked) -> Search:
        encoded = queries.read(asked.rows)

        def search_queries(k: Ints) -> Ranking:
            # Queries can share positives, so more are searched until k documents are found.
            ask = np.minimum(k, queries.count)
            while True:
                near = queries.index.search(encoded, ask)
                offsets, rows = mining.queries.positives(queries.rows[near.slots])
                counts = np.diff(offsets)
                owner = np.repeat(near.query_of_hit, counts)
                found = best_of_each(
                    owner, documents.slots(rows), np.repeat(near.scores, counts), k
                )
                short = (np.diff(found.offsets) < k) & (ask < queries.count)
                if not short.any():
                    return found
                ask = np.where(short, np.minimum(ask * 2, queries.count), ask)

        return search_queries

    return Source(search)
