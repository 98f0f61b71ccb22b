"""The reader of queries/ in a candidates directory: texts, positives and judgements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import load_array, load_offsets
from hnmine.inputs.texts import Texts
from hnmine.ragged import Ints, offsets_of, ragged


def _load_lists(directory: Path, name: str, queries: Texts, documents: Texts) -> tuple[Ints, Ints]:
    """Open (offsets, document rows) of lists of documents, one for each query."""
    rows = load_array(directory / f"{name}_rows.npy", np.int64, low=0, below=len(documents))
    return load_offsets(directory / f"{name}_offsets.npy", len(queries), len(rows)), rows


class Queries:
    """The queries and their known positives.

    Attributes:
        texts: the queries by row.
        mined: rows of the queries with a positive, ascending; only these are mined.
    """

    def __init__(self, directory: Path, documents: Texts) -> None:
        """Open the queries whose positives are rows of these documents.

        Raises:
            InputError: a file is missing or damaged, or names documents out of range.
        """
        self.texts = Texts(directory)
        self._offsets, self._rows = _load_lists(directory, "positive", self.texts, documents)
        self._graded = None
        if (directory / "grades.npy").exists():
            offsets, rows = _load_lists(directory, "grade", self.texts, documents)
            grades = load_array(directory / "grades.npy", np.float64, rows.shape)
            self._graded = offsets, rows, grades
        counts = np.diff(self._offsets)
        self.mined: Ints = np.flatnonzero(counts[self.texts.identity] > 0)

    @property
    def most_positives(self) -> int:
        """The largest number of positives of a query."""
        return int(np.diff(self._offsets).max())

    def positives(self, rows: Ints) -> tuple[Ints, Ints]:
        """Return (offsets, document rows): the known positives of the queries in `rows`."""
        offsets, places = self._lists(self._offsets, rows)
        return offsets, self._rows[places]

    def judgements(self, rows: Ints) -> tuple[Ints, Ints, NDArray[np.float64]]:
        """Return (offsets, canonical document rows, grades): the judgements of `rows`."""
        if self._graded is None:
            return np.zeros(len(rows) + 1, np.int64), np.empty(0, np.int64), np.empty(0)
        offsets, places = self._lists(self._graded[0], rows)
        return offsets, self._graded[1][places], self._graded[2][places]

    def _lists(self, bounds: Ints, rows: Ints) -> tuple[Ints, Ints]:
        groups = self.texts.identity[rows]
        starts, stops = bounds[groups], bounds[groups + 1]
        return offsets_of(stops - starts), ragged(starts, stops - starts)
