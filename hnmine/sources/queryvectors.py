"""The vectors of the queries, encoded once, in the layout of a dense index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.directories.queries import Queries
from hnmine.encode.spec import Similarity
from hnmine.errors import damage_explained
from hnmine.index.dense_index import DenseIndex
from hnmine.ragged import Ints
from hnmine.schema import CandidatePaths
from hnmine.sources.source import Mining


def encoded_rows(queries: Queries) -> Ints:
    """Return the queries that have a vector: one for each distinct text that is mined for."""
    return np.unique(queries.texts.identity[queries.mined])


class QueryVectors:
    """The vectors of all queries that are mined for.

    Attributes:
        rows: the query of each vector, ascending.
        index: the vectors, which can be searched.
    """

    def __init__(
        self, paths: CandidatePaths, queries: Queries, threads: int, similarity: Similarity
    ) -> None:
        self.queries, self.rows = queries, encoded_rows(queries)
        count = len(self.rows)
        self.index = DenseIndex(paths.dense, threads, count=count, similarity=similarity)

    @property
    def count(self) -> int:
        """The number of vectors."""
        return len(self.rows)

    def places(self, rows: Ints) -> Ints:
        """Return the vector of each query row, shape (n,)."""
        self.queries.texts.check_rows(rows)
        wanted = self.queries.texts.identity[rows]
        found: Ints = np.searchsorted(self.rows, wanted)
        with damage_explained(self.queries.texts.directory):
            if not np.array_equal(self.rows[found], wanted):
                raise ValueError("A query that is asked for was not mined for, and has no vector.")
        return found

    def read(self, rows: Ints) -> NDArray[np.float32]:
        """Read the vectors of queries, shape (n, dimension)."""
        return self.index.read(self.places(rows))

    def directions(self, rows: Ints) -> NDArray[np.float32]:
        """Read the vectors of queries at length 1, shape (n, dimension)."""
        return self.index.directions(self.places(rows))


def open_query_vectors(mining: Mining) -> QueryVectors:
    """Open the vectors of the queries that are mined for."""
    similarity = mining.index.encoder.similarity
    return QueryVectors(mining.paths, mining.queries, mining.threads, similarity)
