"""The files of a BM25 index, memory-mapped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.index.bm25.formula import VARIANTS, Postings, Statistics
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.tokenise import Tokeniser


class Files:
    """The files of an index but the impacts and their peaks, memory-mapped."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        header = json.loads((directory / "settings.json").read_text(encoding="utf-8"))
        tokeniser = Tokeniser(**header["settings"].pop("tokeniser"))
        self.settings = BM25Settings(**header["settings"], tokeniser=tokeniser)
        # Without a token there is no posting, and nothing is divided by the average length.
        average = header["tokens"] / header["documents"] if header["tokens"] else 1.0
        number = VARIANTS.index(self.settings.variant)
        k1, b, delta = self.settings.k1, self.settings.b, self.settings.delta_in_use
        self.vocabulary = (self.load("vocabulary_offsets"), self.load("vocabulary"))
        self.postings: Postings = (self.load("indptr"), self.load("documents"))
        self.statistics: Statistics = (
            self.load("frequencies"),
            self.load("lengths"),
            self.load("idf"),
            (number, float(k1), float(b), float(delta), average),
        )

    def load(self, name: str) -> NDArray[Any]:
        """Open one file by its name without the ending."""
        return np.asarray(np.load(self._directory / f"{name}.npy", mmap_mode="r"))
