"""Columns of queries and documents that hnmine computes for expressions, each when first used.

What depends on the index alone is cached with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.array_files import load_array, save_array
from hnmine.directories.index import Index
from hnmine.errors import HnmineError, UsageError
from hnmine.index.clusters import nearest
from hnmine.index.dense_index import DenseIndex
from hnmine.index.outliers import outlier_scores
from hnmine.inputs.boilerplate import boilerplate_shares
from hnmine.ragged import Ints
from hnmine.runner.atomic import replacing
from hnmine.runner.safe_paths import check_links
from hnmine.schema import STATE
from hnmine.sources.conditions import OF_CLUSTERS, Column
from hnmine.sources.queryvectors import open_query_vectors

if TYPE_CHECKING:
    from hnmine.sources.source import Mining

FOLDER = "columns"
"""In the state folder of an index, whose files hnmine may rewrite, and which no manifest lists."""

OUTLIER, BOILERPLATE = "outlier", "boilerplate"
"""Columns of documents."""


def computed_columns(mining: Mining) -> dict[str, dict[str, Column]]:
    """Return the columns by side and name; nothing is computed yet."""
    index, documents = mining.index, mining.index.documents
    slots = len(documents.canonical)
    kept = {
        BOILERPLATE: lambda: boilerplate_shares(lambda: documents.slot_texts(0, slots)),
        OUTLIER: lambda: outlier_scores(_vectors(mining)),
    }
    of_documents: dict[str, Column] = {
        name: Kept(index, name, compute).of for name, compute in kept.items()
    }
    of_queries: dict[str, Column] = {}
    if mining.clustered:
        clusters = Clusters(mining)
        of_documents |= clusters.columns(clusters.of_documents)
        of_queries = clusters.columns(clusters.of_queries)
    return {"query": of_queries, "doc": of_documents, "positive": of_documents}


def _vectors(mining: Mining) -> DenseIndex:
    if not mining.index.settings.dense:
        raise UsageError(
            f"doc.{OUTLIER} needs a dense index.",
            why="It compares vectors of the documents.",
            fix="Build one with --encoder.",
        )
    return mining.index.vectors(mining.threads)


class Clusters:
    """Clusters of documents and queries, and the hardness of each: how near another one is."""

    def __init__(self, mining: Mining) -> None:
        self._mining = mining

    @cached_property
    def _centres(self) -> NDArray[np.float32]:
        dimension = _vectors(self._mining).dimension
        return load_array(self._mining.paths.centres, np.float32, (None, dimension), finite=True)

    def columns(self, cluster_of: Callable[[Ints], Ints]) -> dict[str, Column]:
        """Return the columns `OF_CLUSTERS` of the rows that a function gives the clusters of."""
        values: tuple[Column, Column] = (
            lambda rows: pa.array(cluster_of(rows)),
            lambda rows: pa.array(self.hardness[cluster_of(rows)]),
        )
        return dict(zip(OF_CLUSTERS, values, strict=True))

    @cached_property
    def hardness(self) -> NDArray[np.float32]:
        """The cosine of each centre to the nearest other centre, shape (clusters,)."""
        centres = self._centres.astype(np.float64)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
        cosines = centres @ centres.T
        np.fill_diagonal(cosines, -np.inf)
        return np.asarray(cosines.max(axis=1), np.float32)

    @cached_property
    def _of_slots(self) -> Ints:
        slots, most = len(self._mining.index.documents.canonical), len(self._centres)
        return load_array(self._mining.paths.clusters, np.int64, (slots,), low=0, below=most)

    def of_documents(self, rows: Ints) -> Ints:
        """Return the cluster of each document."""
        return np.asarray(self._of_slots[self._mining.index.documents.slots(rows)])

    def of_queries(self, rows: Ints) -> Ints:
        """Return the cluster whose centre is nearest to each query."""
        if not self._mining.paths.dense.is_dir():
            raise UsageError(
                "query.cluster needs vectors of the queries.",
                why="BM25 alone is searched, which encodes no query.",
                fix="Add --source dense.",
            )
        distinct, place = np.unique(rows, return_inverse=True)
        vectors = open_query_vectors(self._mining).directions(distinct)
        return nearest(vectors, np.asarray(self._centres))[place]


class Kept:
    """Values of all documents, by slot, cached with the index.

    Where the cache cannot be written, because the directory is read-only or full, that is no error:
    the values are computed again. Processes that write the same file write the same values.

    Args:
        index: of the documents.
        name: of the column.
        compute: returns the values; NaN where one is unknown.
    """

    def __init__(self, index: Index, name: str, compute: Callable[[], NDArray[np.float32]]) -> None:
        self._index, self._compute = index, compute
        self._path = index.path / STATE / FOLDER / f"{name}-{index.hash[:12]}.npy"

    def of(self, rows: Ints) -> pa.Array:
        """Return the values of documents; null where unknown. Without rows, nothing is computed."""
        if not len(rows):
            return pa.array([], pa.float32())
        values = self._values[self._index.documents.slots(rows)]
        return pa.array(values, mask=np.isnan(values))

    @cached_property
    def _values(self) -> NDArray[np.float32]:
        with suppress(HnmineError, OSError):
            check_links(self._index.path, self._path)
            if not self._path.is_symlink():
                slots = len(self._index.documents.canonical)
                return load_array(self._path, np.float32, (slots,), mapped=False)
        values = self._compute()
        with suppress(HnmineError, OSError):
            # Only where a run of hnmine left its state: a copy without it stays as it was sent.
            if (self._index.path / STATE).is_dir():
                check_links(self._index.path, self._path)
                self._path.parent.mkdir(exist_ok=True)
                with replacing(self._path) as temporary:
                    save_array(temporary, values)
        return values
