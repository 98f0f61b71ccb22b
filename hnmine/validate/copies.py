"""The share of documents with a near copy: a seeded sample, compared with every document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hnmine.compiled import compiled
from hnmine.ragged import Ints, offsets_of
from hnmine.sources.shingles import shingles

NEAR = 0.9
"""Share of the shorter text that stands word for word in the other, as in `--near-copy`."""


class NearCopies:
    """A sample of documents, and which other document each of them is a near copy of.

    The sample's shingles are held as an inverted map, so that the work grows with the documents
    compared and not with their pairs.

    Attributes:
        rows: int64, shape (sample,): the row of each document of the sample.
        found: int64, shape (sample,): the row of a near copy of each, or -1.
    """

    def __init__(self, rows: Sequence[int], texts: Sequence[str]) -> None:
        self.rows = np.array(rows, dtype=np.int64)
        self.found = np.full(len(rows), -1, dtype=np.int64)
        offsets, hashes = shingles(texts)
        self._sizes = np.diff(offsets)
        order = np.argsort(hashes, kind="stable")
        self._owners = np.repeat(np.arange(len(rows)), self._sizes)[order]
        self._hashes, counts = np.unique(hashes, return_counts=True)
        self._starts = offsets_of(counts)
        self._common = np.zeros(len(rows), dtype=np.int64)
        self._touched = np.empty(len(rows), dtype=np.int64)

    def compare(self, rows: Ints, texts: Sequence[str]) -> None:
        """Compare the sample with documents, shape (n,); one of the sample is not its own copy."""
        if not len(self._hashes) or not len(texts):
            return
        offsets, hashes = shingles(texts)
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        at[self._hashes[at] != hashes] = -1
        sample = (self.rows, self._sizes, self._starts, self._owners)
        _mark(rows, offsets, at, sample, (self._common, self._touched), self.found)


@compiled()
def _mark(
    rows: Ints,
    offsets: Ints,
    at: Ints,
    sample: tuple[Ints, Ints, Ints, Ints],
    scratch: tuple[Ints, Ints],
    found: Ints,
) -> None:
    sample_rows, sizes, starts, owners = sample
    common, touched = scratch
    for text in range(len(rows)):
        count = 0
        for place in at[offsets[text] : offsets[text + 1]]:
            if place < 0:
                continue
            for owner in owners[starts[place] : starts[place + 1]]:
                # Once a copy is known, no other is looked for: large families cost nothing more.
                if found[owner] >= 0 or sample_rows[owner] == rows[text]:
                    continue
                if common[owner] == 0:
                    touched[count] = owner
                    count += 1
                common[owner] += 1
        size = offsets[text + 1] - offsets[text]
        for owner in touched[:count]:
            if common[owner] >= NEAR * min(size, sizes[owner]):
                found[owner] = rows[text]
            common[owner] = 0
