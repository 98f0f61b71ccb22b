"""No document as the negative of too many queries, without a word about who came first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import check_values, load_archive
from hnmine.errors import damage_explained
from hnmine.ragged import Ints, offsets_of, position_in_list


@dataclass(frozen=True)
class Uses:
    """Which documents were chosen for which queries.

    Attributes:
        query: rows, shape (uses,).
        slot: of the documents, shape (uses,).
        noise: of each pair, from its ids, shape (uses,).
    """

    FIELDS: ClassVar = {"query": np.int64, "slot": np.int64, "noise": np.uint64}

    query: Ints
    slot: Ints
    noise: NDArray[np.uint64]

    @classmethod
    def read(cls, paths: Sequence[Path], slots: int) -> Uses:
        """Read the uses of so many documents from files, one open at a time."""
        parts: dict[str, list[Any]] = {name: [] for name in cls.FIELDS}
        for path in paths:
            found = load_archive(path, cls.FIELDS)
            with damage_explained(path):
                check_values(found["query"], low=0)
                check_values(found["slot"], low=0, below=slots)
            for name in cls.FIELDS:
                parts[name].append(found[name])
        return cls(*(np.concatenate(parts[name]) for name in cls.FIELDS))


@dataclass(frozen=True)
class Shares:
    """Who may still use which document.

    Attributes:
        width: document slots.
        full: whether a document has as many users as it may have, shape (width,).
        granted: the pairs that were granted, query row x width + slot, ascending.
    """

    width: int
    full: NDArray[np.bool_]
    granted: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def none(cls, width: int) -> Shares:
        """Return the state before anything was chosen: all documents are free."""
        return cls(width, np.zeros(width, dtype=bool))

    def barred(self, query: Ints, slot: Ints) -> NDArray[np.bool_]:
        """Tell which pairs may not be used any more."""
        found: NDArray[np.bool_] = self.full[slot] & ~np.isin(
            query * self.width + slot, self.granted
        )
        return found

    def after(self, uses: Uses, most: int) -> tuple[Shares, bool]:
        """Grant what was chosen, to those who had it first and then by lot; tell if all was.

        Args:
            uses: everything that is chosen now.
            most: users that a document may have.
        """
        pair = uses.query * self.width + uses.slot
        held = np.isin(pair, self.granted)
        order = np.lexsort((pair, uses.noise, ~held, uses.slot))
        counts = np.bincount(uses.slot, minlength=self.width)
        place = position_in_list(offsets_of(counts))
        granted = pair[order][place < most]
        return Shares(self.width, self.full | (counts >= most), np.sort(granted)), bool(
            (counts <= most).all()
        )

    def closed(self) -> Shares:
        """Return the state in which nobody gets anything more."""
        return Shares(self.width, np.ones(self.width, dtype=bool), self.granted)
