"""Cap how many queries share a negative, independent of row order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import check_values, load_archive
from hnmine.errors import damage_explained
from hnmine.ragged import Bools, Ints, offsets_of, position_in_list

FEWEST_USES, TIMES_THE_MEAN = 5, 10
"""The default cap: so many times the mean number of queries for each document, but not fewer."""


def default_cap(queries: int, negatives: int, documents: int) -> int:
    """Return how many queries may share a document in the default choice.

    Args:
        queries: that negatives are chosen for.
        negatives: for each.
        documents: to choose from.
    """
    return max(FEWEST_USES, -(-TIMES_THE_MEAN * queries * negatives // documents))


@dataclass(frozen=True)
class DocumentUses:
    """Which queries chose which documents, shape (uses,) each.

    Attributes:
        query: query rows.
        document: rows or slots of documents.
        noise: random number of each pair, from its ids.
    """

    FIELDS: ClassVar = {"query": np.int64, "slot": np.int64, "noise": np.uint64}

    query: Ints
    document: Ints
    noise: NDArray[np.uint64]

    def write(self, path: Path) -> None:
        """Write the uses, whose documents are slots."""
        with path.open("wb") as file:
            np.savez(file, query=self.query, slot=self.document, noise=self.noise)

    @classmethod
    def joined(cls, parts: Sequence[DocumentUses]) -> DocumentUses:
        """Return the uses of all parts."""
        return cls(
            np.concatenate([part.query for part in parts]),
            np.concatenate([part.document for part in parts]),
            np.concatenate([part.noise for part in parts]),
        )

    @classmethod
    def read(cls, paths: Sequence[Path], slots: int) -> DocumentUses:
        """Read and join what `write` wrote, one file open at a time.

        Args:
            paths: of the files.
            slots: number of documents.
        """
        parts = []
        for path in paths:
            arrays = load_archive(path, cls.FIELDS)
            with damage_explained(path):
                check_values(arrays["query"], low=0)
                check_values(arrays["slot"], low=0, below=slots)
            parts.append(arrays)
        return cls(*(np.concatenate([part[name] for part in parts]) for name in cls.FIELDS))


@dataclass(frozen=True)
class DocumentCap:
    """Which queries may still choose which documents.

    Attributes:
        slots: number of documents.
        full: whether a document has reached the cap, shape (slots,).
        granted: the pairs that may use a full document, query row x slots + slot, ascending.
    """

    slots: int
    full: Bools
    granted: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def start(cls, slots: int) -> DocumentCap:
        """Return the state in which every document is free."""
        return cls(slots, np.zeros(slots, dtype=bool))

    def over(self, query: Ints, slot: Ints) -> Bools:
        """Return which pairs of a query and a document may not be chosen, shape (pairs,)."""
        over: Bools = self.full[slot]
        rows = np.flatnonzero(over)
        over[rows] = ~np.isin(query[rows] * self.slots + slot[rows], self.granted)
        return over

    def first(self, ranked: DocumentUses, most: int) -> DocumentUses:
        """Return the first documents of each query that it may still choose.

        Args:
            ranked: the documents that may be chosen, the best first, query by query.
            most: documents for each query.
        """
        rows = np.flatnonzero(~self.over(ranked.query, ranked.document))
        group = np.cumsum(np.diff(ranked.query[rows], prepend=-1) != 0)
        counts = np.bincount(group)[1:]
        rows = rows[position_in_list(offsets_of(counts)) < most]
        return DocumentUses(ranked.query[rows], ranked.document[rows], ranked.noise[rows])

    def grant(self, uses: DocumentUses, most: int) -> tuple[DocumentCap, bool]:
        """Return the state after the current choice, and whether all of it was granted.

        Queries that hold a document keep it. The noise draws among the others.

        Args:
            uses: the current choice, with slots.
            most: queries that may share a document.
        """
        pair = uses.query * self.slots + uses.document
        held = np.isin(pair, self.granted)
        order = np.lexsort((pair, uses.noise, ~held, uses.document))
        counts = np.bincount(uses.document, minlength=self.slots)
        turn = position_in_list(offsets_of(counts))
        granted = np.sort(pair[order][turn < most])
        state = DocumentCap(self.slots, self.full | (counts >= most), granted)
        return state, bool((counts <= most).all())

    def close(self) -> DocumentCap:
        """Return the state in which no further pair is granted."""
        return DocumentCap(self.slots, np.ones(self.slots, dtype=bool), self.granted)
