"""The interface of a source of candidates, and what sources are opened with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hnmine.config import MineSettings
from hnmine.directories.index import Index
from hnmine.directories.queries import Queries
from hnmine.index.topk import Ranking, top_k
from hnmine.ragged import Ints
from hnmine.schema import CandidatePaths
from hnmine.sources.computed import computed_columns
from hnmine.sources.conditions import Facts


@dataclass(frozen=True)
class Mining:
    """What a source is opened with, once the queries are read and encoded.

    Attributes:
        index: that is searched.
        queries: with their positives.
        paths: of the candidates directory.
        threads: CPU threads.
        device: that searches vectors.
        seed: of random sources.
        bm25_engine: hnmine or rank-bm25.
        faiss_search: FAISS search parameters of an approximate index.
        clustered: whether the documents were clustered.
        matching: condition of the source `matching`.
        constraint: conditions on all candidates.
        attribute: further columns, expression by name.
    """

    index: Index
    queries: Queries
    paths: CandidatePaths
    threads: int
    device: str
    seed: int
    bm25_engine: str
    faiss_search: str | None
    clustered: bool
    matching: str
    constraint: Sequence[str]
    attribute: Mapping[str, str]

    @classmethod
    def of(
        cls, index: Index, queries: Queries, paths: CandidatePaths, settings: MineSettings
    ) -> Mining:
        """Take from the settings of `mine` what sources need."""
        return cls(
            index,
            queries,
            paths,
            threads=settings.cpu_threads,
            device=settings.device,
            seed=settings.seed,
            bm25_engine=settings.bm25_engine,
            faiss_search=settings.faiss_search,
            clustered=settings.clusters is not None,
            matching=settings.matching or "true",
            constraint=settings.constraint,
            attribute=settings.attribute,
        )

    @cached_property
    def facts(self) -> Facts:
        """Columns of the queries and documents, for expressions."""
        return Facts(self.queries, self.index.documents, computed_columns(self))


@dataclass(frozen=True)
class Asked:
    """A block of queries.

    Attributes:
        rows: of the queries, shape (n,).
        queries: all of them, with their positives.
    """

    rows: Ints
    queries: Queries

    @cached_property
    def texts(self) -> list[str]:
        """The texts of the queries."""
        return self.queries.texts.texts(self.rows)

    @cached_property
    def positives(self) -> tuple[Ints, Ints]:
        """The positives of the queries: (offsets, document rows)."""
        return self.queries.positives(self.rows)


Search = Callable[[Ints], Ranking]
"""Given `k`, shape (queries,), returns the best `k[q]` documents of each query. Known positives are
among them, so that callers add their number to `k`."""

Score = Callable[[Ints, Ints], NDArray[np.float64]]
"""Given `offsets`, shape (queries + 1,), and `slots`, scores these documents: query `i` against
`slots[offsets[i]:offsets[i + 1]]`; NaN where it has no score for one."""


@dataclass(frozen=True)
class Source:
    """An open source.

    Attributes:
        search: takes a block of queries; deterministic, and independent for each query.
        score: takes a block of queries, for sources whose scores become a column.
        by_relevance: whether its ranking says how relevant a document is; only then it counts in
            the fused rank.
    """

    search: Callable[[Asked], Search]
    score: Callable[[Asked], Score] | None = None
    by_relevance: bool = True


def best_of_positives(offsets: Ints, search: Search) -> Search:
    """Return a search for queries from a search for each of their positives.

    Args:
        offsets: query `i` has the positives `offsets[i]:offsets[i + 1]`.
        search: one list for each positive.
    """
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))

    def search_queries(k: Ints) -> Ranking:
        found = search(k[owner])
        return best_of_each(owner[found.query_of_hit], found.slots, found.scores, k)

    return search_queries


def best_of_each(query: Ints, slots: Ints, scores: NDArray[np.float64], k: Ints) -> Ranking:
    """Rank documents by the best score that each has for a query."""
    order = np.lexsort((-scores, slots, query))
    query, slots, scores = query[order], slots[order], scores[order]
    first = np.ones(len(query), dtype=bool)
    first[1:] = (query[1:] != query[:-1]) | (slots[1:] != slots[:-1])
    return top_k(query[first], slots[first], scores[first], k)
