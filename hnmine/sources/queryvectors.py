"""Query vectors, one for each distinct text, and scores by the similarity of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.directories.queries import Queries
from hnmine.encode.declared import Similarity
from hnmine.errors import damage_explained
from hnmine.index.dense_index import DenseIndex
from hnmine.ragged import Ints, offsets_of, ragged
from hnmine.schema import CandidatePaths

if TYPE_CHECKING:
    from hnmine.sources.source import Asked, Mining, Score


def encoded_rows(queries: Queries) -> Ints:
    """Return the rows of the queries with a vector: one for each distinct text that is mined."""
    return np.unique(queries.texts.identity[queries.mined])


class QueryVectors:
    """The vectors of all mined queries.

    Attributes:
        rows: the query row of each vector, ascending.
        index: the vectors, ready to search.
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

    def positions(self, rows: Ints) -> Ints:
        """Return the position of each query's vector, shape (n,)."""
        self.queries.texts.check_rows(rows)
        wanted = self.queries.texts.identity[rows]
        positions: Ints = np.searchsorted(self.rows, wanted)
        with damage_explained(self.queries.texts.directory):
            if not np.array_equal(self.rows[positions], wanted):
                raise ValueError("A query was not mined and has no vector.")
        return positions

    def read(self, rows: Ints) -> NDArray[np.float32]:
        """Read the vectors of queries, shape (n, dimension)."""
        return self.index.read(self.positions(rows))

    def directions(self, rows: Ints) -> NDArray[np.float32]:
        """Read the vectors of queries at length 1, shape (n, dimension)."""
        return self.index.directions(self.positions(rows))


def open_query_vectors(mining: Mining) -> QueryVectors:
    """Open the vectors of the mined queries."""
    similarity = mining.index.encoder.similarity
    return QueryVectors(mining.paths, mining.queries, mining.threads, similarity)


class Owners:
    """The queries that each document is a positive of.

    A document that answers a similar query is likely to answer this one too (SaHa, arXiv
    2508.00955).
    """

    def __init__(self, mining: Mining) -> None:
        documents = mining.index.documents
        self.vectors = open_query_vectors(mining)
        offsets, rows = mining.queries.positives(self.vectors.rows)
        slots = documents.slots(rows)
        owner = np.repeat(np.arange(self.vectors.count), np.diff(offsets))
        order = np.lexsort((owner, slots))
        self._owners = owner[order]
        self._offsets = offsets_of(np.bincount(slots, minlength=len(documents.canonical)))

    def score(self, asked: Asked) -> Score:
        """Return a scorer by the nearest other query with the document; NaN without one."""
        own = self.vectors.positions(asked.rows)

        def score(offsets: Ints, slots: Ints) -> NDArray[np.float64]:
            query = own[np.repeat(np.arange(len(own)), np.diff(offsets))]
            counts = self._offsets[slots + 1] - self._offsets[slots]
            pair = np.repeat(np.arange(len(slots)), counts)
            owner = self._owners[ragged(self._offsets[slots], counts)]
            another = owner != query[pair]
            pair, owner = pair[another], owner[another]
            best = np.full(len(slots), -np.inf)
            np.fmax.at(best, pair, self.vectors.index.similarity(query[pair], owner))
            return np.where(np.isfinite(best), best, np.nan)

        return score
