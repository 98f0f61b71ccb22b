"""Fill batches from rows in an order; a row that cannot join a batch waits for the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hnmine.ragged import Ints

MISSES = 1024
"""Rows refused before a batch is left short, as in Sample4Geo (Deuser et al., ICCV 2023)."""

AT_ONCE = 32
"""Fewest rows to propose at once: the guard takes as long for one as for a few."""


class Admission(Protocol):
    """Decides which rows join a batch; `Guard` does."""

    def admit(self, members: Ints, proposed: Ints, room: int) -> tuple[Ints, int]:
        """Return the rows that join, and the number of clashes between pairs of rows."""
        ...


class Proposals:
    """Rows in an order. Each batch takes some, and sees a query at most once.

    With neighbours, each row brings rows of the queries nearest to its own.
    """

    def __init__(
        self, order: Ints, query: Ints, used: NDArray[np.bool_], neighbours: Neighbours | None
    ) -> None:
        """Start with the rows of `order`; `query` and `used` cover all rows."""
        self.order, self.query, self.used, self.neighbours = order, query, used, neighbours
        self._head = self._at = 0
        self._batch = 0
        queries = int(query.max(initial=-1)) + 1
        self._seen_in = np.zeros(queries, dtype=np.int64)
        if neighbours:
            # The rows of a query in their order, one query after the other.
            self._rows = order[np.argsort(query[order], kind="stable")]
            start = np.searchsorted(query[self._rows], np.arange(queries + 1))
            self._first, self._end = start[:-1].copy(), start[1:]
            self._pass_over(np.arange(queries))

    @property
    def left(self) -> Ints:
        """The rows that no batch has taken, in their order."""
        return self.order[~self.used[self.order]]

    def begin(self) -> None:
        """Start another batch; refused rows come first."""
        while self._head < len(self.order) and self.used[self.order[self._head]]:
            self._head += 1
        self._at = self._head
        self._batch += 1

    def more(self, wanted: int) -> Ints:
        """Return rows not yet proposed for this batch; none if all were."""
        found: list[int] = []
        while self._at < len(self.order) and len(found) < wanted:
            row = self.order[self._at]
            self._at += 1
            query = self.query[row]
            if not self.used[row] and self._seen_in[query] != self._batch:
                self._seen_in[query] = self._batch
                found.append(int(row))
                if self.neighbours:
                    found += self._near(int(query)).tolist()
        return np.array(found, dtype=np.int64)

    def _near(self, query: int) -> Ints:
        """Return the first unused row of each nearest query that is new in this batch."""
        assert self.neighbours
        near = self.neighbours.of(query)
        near = near[(self._seen_in[near] != self._batch) & (self._first[near] < self._end[near])]
        self._seen_in[near] = self._batch
        return self._rows[self._first[near]]

    def take(self, rows: Ints) -> None:
        """Mark rows as used by a batch."""
        self.used[rows] = True
        if self.neighbours:
            self._pass_over(self.query[rows])

    def _pass_over(self, queries: Ints) -> None:
        """Let the first unused rows of queries be found."""
        while len(queries):
            queries = queries[self._first[queries] < self._end[queries]]
            queries = queries[self.used[self._rows[self._first[queries]]]]
            self._first[queries] += 1


class Neighbours(Protocol):
    """Lookup of the nearest queries."""

    def of(self, query: int) -> Ints:
        """Return the queries nearest to one, the nearest first."""
        ...


@dataclass
class Packed:
    """The batches of an epoch.

    Attributes:
        batches: rows of each batch.
        left_over: rows that fit into no batch.
        refused: number of clashes between pairs of rows.
    """

    batches: list[Ints] = field(default_factory=list)
    left_over: list[int] = field(default_factory=list)
    refused: int = 0


def pack(
    groups: Iterator[Ints], query: Ints, size: int, admission: Admission,
    neighbours: Neighbours | None = None,
) -> Packed:  # fmt: skip
    """Fill batches from each group of rows, then from the rows that are left.

    Args:
        groups: rows in the order to propose them; each row is in one group.
        query: of every row, ascending.
        size: rows in a full batch.
        admission: decides which rows join a batch.
        neighbours: adds rows of the nearest queries to each row.
    """
    packed = Packed()
    used = np.zeros(len(query), dtype=bool)
    rest = []
    for group in groups:
        proposals = Proposals(group, query, used, neighbours)
        alone = _fill(packed, proposals, size, admission, last=False)
        rest += [proposals.left, np.array(alone, dtype=np.int64)]
    remaining = np.concatenate(rest)
    used[remaining] = False
    proposals = Proposals(remaining, query, used, neighbours)
    packed.left_over = _fill(packed, proposals, size, admission, last=True)
    return packed


def _fill(
    packed: Packed, proposals: Proposals, size: int, admission: Admission, *, last: bool
) -> list[int]:
    """Make batches until no row is left; unless `last`, stop before a batch that is not full.

    Returns the rows that fit with no other row.
    """
    alone: list[int] = []
    while True:
        proposals.begin()
        members = np.empty(0, dtype=np.int64)
        misses, exhausted = 0, False
        while len(members) < size and misses < MISSES and not exhausted:
            room = size - len(members)
            proposed = proposals.more(max(room, AT_ONCE))
            exhausted = not len(proposed)
            if not exhausted:
                joined, refused = admission.admit(members, proposed, room)
                packed.refused += refused
                misses += len(proposed) - len(joined) if len(joined) < room else 0
                members = np.concatenate([members, joined])
        if not len(members) or (exhausted and not last and len(members) < size):
            return alone
        proposals.take(members)
        if len(members) > 1:
            packed.batches.append(members)
        else:
            alone.append(int(members[0]))


def evenly(query: Ints, unit: Ints, random: np.random.Generator) -> NDArray[np.float64]:
    """Return a time in [0, 1) for each row that spreads the rows of a query over an epoch.

    A unit has a sequence of times, and a query with n rows takes the first n, in random order. So
    the rows of a unit come together, whatever the numbers of rows. The first 2**k times fall into
    different parts of 2**k equal ones, for every k (Owen 1995, in one dimension and base 2).

    Args:
        query: of each row, ascending.
        unit: of each query, such as its cluster.
        random: generator.
    """
    order = np.lexsort((random.random(len(query)), query))
    counts = np.bincount(query)
    starts = np.cumsum(counts) - counts
    place = np.empty(len(query), dtype=np.int64)
    place[order] = np.arange(len(query)) - starts[query]
    most = int(counts.max(initial=0))
    _, first, together = np.unique(
        unit[query] * (most + 1) + place, return_index=True, return_inverse=True
    )
    turn, time = place[first], random.random(len(first))
    for level in range((most - 1).bit_length()):
        new = np.flatnonzero(turn >> level == 1)
        parts = 2 << level
        # The sibling of the part with the time of the turn that is 2**level earlier.
        sibling = np.floor(time[new - (1 << level)] * parts).astype(np.int64) ^ 1
        time[new] = (sibling + time[new]) / parts
    spread: NDArray[np.float64] = time[together]
    return spread
