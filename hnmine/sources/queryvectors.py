"""Query vectors, one for each distinct text, and scores by the similarity of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.directories.queries import Queries
from hnmine.encode.declared import Similarity
from hnmine.errors import damage_explained
from hnmine.index.dense_index import FLOAT32_STEP, DenseIndex
from hnmine.ragged import Ints, offsets_of, ragged
from hnmine.schema import CandidatePaths

if TYPE_CHECKING:
    from hnmine.sources.source import Asked, Mining, Score

BY_MATRIX = 1 << 12
"""Pairs of a query and an owner of one document from which a matrix product is faster."""

PRODUCTS = 1 << 22
"""Of a matrix, at once."""

DIRECTIONS, LEAST = 4, np.float32(-2)
"""Roundings of vectors scaled to length 1, in products; less than any cosine."""


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
        self,
        paths: CandidatePaths,
        queries: Queries,
        threads: int,
        similarity: Similarity,
        device: str = "cpu",
    ) -> None:
        self.queries, self.rows = queries, encoded_rows(queries)
        count = len(self.rows)
        self.index = DenseIndex(
            paths.dense, threads, count=count, similarity=similarity, device=device
        )

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
    return QueryVectors(mining.paths, mining.queries, mining.threads, similarity, mining.device)


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
            pair, owner = self._contenders(query, slots)
            best = np.full(len(slots), -np.inf)
            np.fmax.at(best, pair, self.vectors.index.similarity(query[pair], owner))
            return np.where(np.isfinite(best), best, np.nan)

        return score

    def _contenders(self, query: Ints, slots: Ints) -> tuple[Ints, Ints]:
        """Return (pair, owner): other queries with the document of each pair, the nearest included.

        Args:
            query: the vector of each pair's query.
            slots: the document of each pair.
        """
        counts = self._offsets[slots + 1] - self._offsets[slots]
        distinct, place, asked = np.unique(slots, return_inverse=True, return_counts=True)
        owners = self._offsets[distinct + 1] - self._offsets[distinct]
        large = asked * owners >= BY_MATRIX
        pair = np.repeat(np.arange(len(slots)), np.where(large[place], 0, counts))
        few = ~large[place]
        owner = self._owners[ragged(self._offsets[slots[few]], counts[few])]
        another = owner != query[pair]
        found = [(pair[another], owner[another])]
        order = np.argsort(place, kind="stable")
        starts = offsets_of(asked)
        for n in np.flatnonzero(large):
            pairs = order[starts[n] : starts[n + 1]]
            first, last = self._offsets[distinct[n] : distinct[n] + 2]
            near, owner = self._near(query[pairs], self._owners[first:last])
            found.append((pairs[near], owner))
        pair, owner = (np.concatenate(column) for column in zip(*found, strict=True))
        return pair, owner

    def _near(self, query: Ints, owners: Ints) -> tuple[Ints, Ints]:
        """Return (place in `query`, owner) where the float32 product is within error of the best.

        Args:
            query: vectors of queries, shape (n,).
            owners: of one document, ascending.
        """
        index, found = self.vectors.index, []
        vectors = index.directions(query)
        error = (index.dimension + DIRECTIONS) * FLOAT32_STEP
        step = max(1, PRODUCTS // len(query))
        for start in range(0, len(owners), step):
            some = owners[start : start + step]
            others = index.directions(some)
            products = vectors @ others.T
            products[:, ~others.any(axis=1)] = products[~vectors.any(axis=1)] = -np.inf
            at = np.minimum(np.searchsorted(some, query), len(some) - 1)
            itself = np.flatnonzero(some[at] == query)
            products[itself, at[itself]] = -np.inf
            best = products.max(axis=1, keepdims=True)
            near, owner = np.nonzero(products >= np.maximum(best - 2 * error, LEAST))
            found.append((near, some[owner]))
        near, owner = (np.concatenate(column) for column in zip(*found, strict=True))
        return near, owner
