"""Candidates that another system retrieved."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import load_array, load_offsets
from hnmine.index.topk import Ranking
from hnmine.ragged import Ints, offsets_of, ragged
from hnmine.runner.safe_paths import safe_join
from hnmine.sources.source import Asked, Mining, Score, Search, Source


def open_run(folder: str, mining: Mining) -> Source:
    """Open a run that was read before."""
    return _Run(safe_join(mining.paths.runs, folder), mining).source


class _Run:
    def __init__(self, folder: Path, mining: Mining) -> None:
        self.width = len(mining.index.documents.canonical)
        self.slots = load_array(folder / "slots.npy", np.int64, low=0, below=self.width)
        self.scores = load_array(folder / "scores.npy", np.float64, self.slots.shape, finite=True)
        queries = len(mining.queries.texts)
        self.offsets = load_offsets(folder / "offsets.npy", queries, len(self.slots))

    @property
    def source(self) -> Source:
        return Source(self._search, self._score)

    def _lists(self, asked: Asked) -> tuple[Ints, Ints]:
        rows = asked.queries.texts.identity[asked.rows]
        return self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]

    def _search(self, asked: Asked) -> Search:
        return partial(self._best, *self._lists(asked))

    def _best(self, starts: Ints, counts: Ints, k: Ints) -> Ranking:
        counts = np.minimum(counts, k)
        places = ragged(starts, counts)
        return Ranking(offsets_of(counts), self.slots[places], self.scores[places])

    def _score(self, asked: Asked) -> Score:
        starts, counts = self._lists(asked)
        places = ragged(starts, counts)
        keys = np.repeat(np.arange(len(starts)), counts) * self.width + self.slots[places]
        order = np.argsort(keys)
        keys, values = keys[order], self.scores[places][order]

        def score(offsets: Ints, slots: Ints) -> NDArray[np.float64]:
            query = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            wanted = query * self.width + slots
            found = np.full(len(wanted), np.nan)
            at = np.searchsorted(keys, wanted)
            known = at < len(keys)
            known[known] = keys[at[known]] == wanted[known]
            found[known] = values[at[known]]
            return found

        return score
