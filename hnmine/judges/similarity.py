"""Similarity of a candidate to its query's positives, by the vectors of the index."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.directories.candidates import Candidates
from hnmine.index.dense_index import DenseIndex
from hnmine.ragged import Ints, offsets_of, ragged
from hnmine.runner.run_directory import Counts
from hnmine.runner.task_share import Share

PAIRS_AT_ONCE = 1 << 20


class PositiveSimilarity:
    """Scores candidates by the cosine with the nearest known positive."""

    column = "positive_similarity"

    def __init__(self, candidates: Candidates, threads: int) -> None:
        self.candidates, self.threads = candidates, threads

    @cached_property
    def _vectors(self) -> DenseIndex:
        return self.candidates.index.vectors(self.threads)

    def plan(self) -> dict[str, Any]:
        """Return nothing: they depend on the index, which the plan of the candidates holds."""
        return {}

    def compute(self, *, progress: bool, share: Share) -> Counts:
        """Do nothing: reading the vectors costs less than caching the similarities."""
        return {}

    def directions(self, doc_rows: Ints) -> NDArray[np.float32]:
        """Return the unit vectors of documents, shape (rows, dimension)."""
        return self._vectors.directions(self.candidates.index.documents.slots(doc_rows))

    def read(self, part: int) -> NDArray[np.float32]:
        """Return the similarities of one part of the candidates, row by row."""
        table = self.candidates.read(part, ["query_row", "doc_row", "is_positive"])
        slots = self.candidates.index.documents.slots(table["doc_row"].to_numpy())
        _, query = np.unique(table["query_row"].to_numpy(), return_inverse=True)
        positives = np.flatnonzero(table["is_positive"].to_numpy())
        counts = np.bincount(query[positives], minlength=int(query.max(initial=-1)) + 1)
        first, many = offsets_of(counts)[query], counts[query]
        similarity = np.full(len(slots), -np.inf, dtype=np.float32)
        # Blocks of rows, because a query may have many positives.
        bounds = np.searchsorted(np.cumsum(many), np.arange(0, max(1, many.sum()), PAIRS_AT_ONCE))
        for start, stop in zip(bounds, [*bounds[1:], len(slots)], strict=True):
            rows = np.repeat(np.arange(start, stop), many[start:stop])
            others = positives[ragged(first[start:stop], many[start:stop])]
            pairs = self._vectors.similarity(slots[rows], slots[others])
            # A positive's similarity to itself says nothing.
            np.fmax.at(similarity, rows, np.where(rows == others, -np.inf, pairs))
        similarity[~np.isfinite(similarity)] = np.nan
        return similarity
