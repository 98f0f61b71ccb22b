"""The positives and negatives of a block of queries, as arrays for the layouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.ragged import Ints, offsets_of


@dataclass(frozen=True)
class Chosen:
    """Queries with the documents chosen for each.

    Attributes:
        queries: texts, shape (queries,).
        documents: texts, shape (documents,): positives and negatives of all queries.
        scores: of the documents, shape (documents,).
        positives: positions in `documents`, grouped by query.
        positive_offsets: shape (queries + 1,).
        negatives: positions in `documents`, grouped by query, best first.
        negative_offsets: shape (queries + 1,).
        more: further columns, of the documents, shape (documents,) each.
    """

    queries: pa.Array
    documents: pa.Array
    scores: NDArray[np.float64]
    positives: Ints
    positive_offsets: Ints
    negatives: Ints
    negative_offsets: Ints
    more: Mapping[str, pa.ChunkedArray] = field(default_factory=dict)

    @property
    def positive_counts(self) -> Ints:
        """Positives of each query."""
        return np.diff(self.positive_offsets)

    @property
    def negative_counts(self) -> Ints:
        """Negatives of each query."""
        return np.diff(self.negative_offsets)

    def positive_rows(self) -> tuple[Ints, Ints]:
        """Return the query and the document of every (query, positive) pair."""
        return np.repeat(np.arange(len(self.queries)), self.positive_counts), self.positives

    def text(self, rows: Ints) -> pa.Array:
        """Return the texts of documents."""
        return self.documents.take(pa.array(rows))

    def more_of(self, rows: Ints) -> dict[str, pa.Array]:
        """Return the further columns of documents."""
        at = pa.array(rows)
        return {name: values.take(at).combine_chunks() for name, values in self.more.items()}

    def query_text(self, rows: Ints) -> pa.Array:
        """Return the texts of queries."""
        return self.queries.take(pa.array(rows))


def training_weight(positive: pa.ChunkedArray, weight: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the weights of rows in training: a positive counts once, whatever its weight."""
    return pc.if_else(pc.fill_null(positive, False), pa.scalar(1.0, pa.float32()), weight)


def lists(values: pa.Array, counts: Ints) -> pa.Array:
    """Group consecutive values into lists of the given lengths."""
    return pa.LargeListArray.from_arrays(pa.array(offsets_of(counts)), values)
