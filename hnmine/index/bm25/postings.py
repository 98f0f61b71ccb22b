"""The files of a BM25 index, memory-mapped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import AT_ONCE, Value, check_values, give_back, load_array, load_offsets
from hnmine.errors import UsageError, damage_explained
from hnmine.index.bm25.formula import VARIANTS, Postings, Statistics
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.tokenise import Tokeniser
from hnmine.ragged import Ints

HEADER = "settings.json"


class Files:
    """The files of an index except the impacts and their peaks, memory-mapped."""

    def __init__(self, directory: Path, documents: int | None = None) -> None:
        """Open the files and check them, because compiled code trusts them.

        Raises:
            InputError: a file is missing or damaged, or they contradict each other.
        """
        self._directory = directory
        with damage_explained(directory / HEADER):
            header = _header(directory)
            self.settings = _settings(header)
            total, tokens, terms, self.count = (
                _count(header[name]) for name in ("documents", "tokens", "terms", "postings")
            )
            if documents not in (None, total):
                raise ValueError(f"It holds {total:,} documents, not {documents:,}.")
        # Without a token there is no posting, and nothing is divided by the average length.
        average = tokens / total if tokens else 1.0
        number = VARIANTS.index(self.settings.variant)
        k1, b, delta = self.settings.k1, self.settings.b, self.settings.delta_in_use
        letters = self.load("vocabulary", np.uint8, None)
        path = directory / "vocabulary_offsets.npy"
        self.vocabulary = (np.asarray(load_offsets(path, terms, len(letters))), letters)
        path = directory / "indptr.npy"
        bounds = np.asarray(load_offsets(path, terms, self.count, filled=True))
        self.postings: Postings = (bounds, self._documents(bounds, total))
        self.statistics: Statistics = (
            self.load("frequencies", np.unsignedinteger, self.count, low=1),
            self.load("lengths", np.int32, total, low=0),
            self.load("idf", np.float64, terms, finite=True),
            (number, float(k1), float(b), float(delta), average),
        )

    def load(
        self,
        name: str,
        dtype: type[Value],
        length: int | None,
        *,
        low: float | None = None,
        finite: bool = False,
    ) -> NDArray[Value]:
        """Open one file by its name without the ending; see `load_array`."""
        path = self._directory / f"{name}.npy"
        return np.asarray(load_array(path, dtype, (length,), low=low, finite=finite))

    def _documents(self, bounds: Ints, total: int) -> NDArray[np.int32]:
        """Open the documents of the postings, which ascend in each list."""
        path = self._directory / "documents.npy"
        documents = load_array(path, np.int32, (self.count,))
        with damage_explained(path):
            for start in range(0, len(documents), AT_ONCE):
                part = documents[start : start + AT_ONCE + 1]
                breaks = np.flatnonzero(part[1:] <= part[:-1]) + start + 1
                if not np.array_equal(bounds[np.searchsorted(bounds, breaks)], breaks):
                    raise ValueError("The documents of a term do not ascend.")
                check_values(np.asarray(part), low=0, below=total)
                give_back(part)
        return np.asarray(documents)


def read_settings(directory: Path) -> BM25Settings:
    """Return the settings of an index, without opening its arrays.

    Raises:
        InputError: the file is missing or damaged.
    """
    with damage_explained(directory / HEADER):
        return _settings(_header(directory))


def _header(directory: Path) -> dict[str, object]:
    header: dict[str, object] = json.loads((directory / HEADER).read_text(encoding="utf-8"))
    return header


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("Its counts are no whole numbers from 0 up.")
    return value


def _settings(header: dict[str, object]) -> BM25Settings:
    """Return the settings of an index as its header has them.

    Raises:
        ValueError: they are invalid.
    """
    given = header["settings"]
    if not (isinstance(given, dict) and isinstance(given.get("tokeniser"), dict)):
        raise ValueError("Its settings are no mapping.")
    rest = {name: value for name, value in given.items() if name != "tokeniser"}
    numbers = [rest.get(name) for name in ("k1", "b", "delta")]
    if any(isinstance(value, bool | str) for value in numbers):
        raise ValueError("A setting is no number.")
    # An index without a version of Unicode has other words.
    words = {"unicode": "", **given["tokeniser"]}
    if not all(isinstance(value, str) for value in words.values()):
        raise ValueError("A setting of its words is no text.")
    try:
        return BM25Settings(**rest, tokeniser=Tokeniser(**words))
    except UsageError as error:  # The user never gave it.
        raise ValueError(error.what) from error
