"""Query vectors, one for each distinct text, and scores by the similarity of queries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.directories.queries import Queries
from hnmine.encode.declared import Similarity
from hnmine.errors import damage_explained
from hnmine.index.dense_index import FLOAT32_STEP, DenseIndex
from hnmine.ragged import Ints, grouped, offsets_of, ragged
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
        parts = [
            (int(n), start, min(start + step, int(self._offsets[slot + 1])))
            for n, slot in zip(np.flatnonzero(large), distinct[large], strict=True)
            for step in (max(1, PRODUCTS // asked[n]),)
            for start in range(self._offsets[slot], self._offsets[slot + 1], step)
        ]
        if parts:
            found += self._nearest(query, order, starts, parts)
        pair, owner = (np.concatenate(column) for column in zip(*found, strict=True))
        return pair, owner

    def _nearest(
        self, query: Ints, order: Ints, starts: Ints, parts: list[tuple[int, int, int]]
    ) -> Iterator[tuple[Ints, Ints]]:
        """Yield (pair, owner) where the float32 product is within error of the best of its part.

        Args:
            query: the vector of each pair's query.
            order: the pairs, by document.
            starts: where the pairs of each document start in `order`.
            parts: a document, and from where to where some of its owners are.
        """
        index = self.vectors.index
        asks, at = np.unique(query, return_inverse=True)
        vectors = index.directions(asks)
        unknown: NDArray[np.bool_] = np.logical_not(vectors.any(axis=1))
        error = np.float32(2 * (index.dimension + DIRECTIONS) * FLOAT32_STEP)
        most = max(1, PRODUCTS // index.dimension)
        for group in grouped(parts, lambda part: part[2] - part[1], most, most):
            owners = np.concatenate([self._owners[start:stop] for _, start, stop in group])
            others = index.directions(owners)
            lacks: NDArray[np.bool_] = np.logical_not(others.any(axis=1))
            end = 0
            for n, start, stop in group:
                begin, end = end, end + stop - start
                pairs, some = order[starts[n] : starts[n + 1]], owners[begin:end]
                rows = at[pairs]
                products = vectors[rows] @ others[begin:end].T
                products[:, lacks[begin:end]] = products[unknown[rows]] = -np.inf
                itself = np.minimum(np.searchsorted(some, query[pairs]), len(some) - 1)
                same = np.flatnonzero(some[itself] == query[pairs])
                products[same, itself[same]] = -np.inf
                best = products.max(axis=1, keepdims=True)
                near = np.flatnonzero(products >= np.maximum(best - error, LEAST))
                row, column = np.divmod(near, len(some))
                yield pairs[row], some[column]
