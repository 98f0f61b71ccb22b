"""What a source of candidates is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import load_array
from hnmine.config import MineSettings
from hnmine.directories.index import Index
from hnmine.directories.queries import Queries
from hnmine.index.topk import Ranking
from hnmine.ragged import Ints
from hnmine.schema import CandidatePaths
from hnmine.sources.conditions import Facts


@dataclass(frozen=True)
class Mining:
    """What a source is opened with: all that is there once the queries are read and encoded."""

    index: Index
    queries: Queries
    paths: CandidatePaths
    settings: MineSettings

    @cached_property
    def facts(self) -> Facts:
        """What is known of the queries and documents."""
        clusters = None
        if self.settings.clusters:
            slots = len(self.index.documents.canonical)
            clusters = load_array(self.paths.clusters, np.int64, (slots,), low=0)
        return Facts(self.queries, self.index.documents, clusters)

    @property
    def threads(self) -> int:
        """The CPU threads to use."""
        return self.settings.cpu_threads


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
        """Their texts."""
        return self.queries.texts.texts(self.rows)

    @cached_property
    def positives(self) -> tuple[Ints, Ints]:
        """Their positives: (offsets, document rows)."""
        return self.queries.positives(self.rows)


Search = Callable[[Ints], Ranking]
"""Given `k`, shape (queries,), returns the best `k[q]` documents of each query. The list is raw:
known positives are in it, and whoever asks adds their number to `k`."""

Score = Callable[[Ints, Ints], NDArray[np.float64]]
"""Given `offsets`, shape (queries + 1,), and `slots`, scores these documents: query `i` against
`slots[offsets[i]:offsets[i + 1]]`; NaN where it has no score for one."""


@dataclass(frozen=True)
class Source:
    """A source, opened.

    Attributes:
        search: takes a block of queries; deterministic, and each query is on its own.
        score: the same, for sources whose scores become a column.
        by_relevance: whether its order says how relevant a document is, so that it has a vote in
            the fused rank.
    """

    search: Callable[[Asked], Search]
    score: Callable[[Asked], Score] | None = None
    by_relevance: bool = True
