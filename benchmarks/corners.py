"""The corners that once grew badly: `python -m benchmarks.corners NAME`, in CPU seconds."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.common import MEGABYTE, RESULTS, report
from hnmine.audit.auditing import SELECTED
from hnmine.directories.mined import NEEDED, Mined
from hnmine.extras.batches.arrange import Greedy
from hnmine.extras.batches.false_negative_guard import (
    BELOW_ITS_POSITIVE,
    BY_VERDICT,
    Guard,
    Vectors,
)
from hnmine.extras.batches.rows import Rows
from hnmine.index.dense_index import DenseIndex
from hnmine.ragged import offsets_of
from hnmine.relevance.probes import ProbeData, compare
from hnmine.relevance.projection import subspace, unit_vectors
from hnmine.runner.blas_threads import blas_threads
from hnmine.sources import queryvectors

FOLDER = RESULTS / "corners"
DIMENSION, DEPTH, BLOCK = 384, 100, 512
ANSWERS, NEAR = 320, 128
Row = Mapping[str, object]


def owners(arguments: argparse.Namespace) -> list[Row]:
    """Score candidates whose documents are positives of many queries: by matrix and by pair."""
    usual = queryvectors.BY_MATRIX
    return [
        _owners(n, by_matrix)
        for n in arguments.queries or (8_000, 32_000)
        for by_matrix in ((usual, 1 << 60) if n <= 8_000 else (usual,))
    ]


def _owners(queries: int, by_matrix: int) -> Row:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(queries, DIMENSION))
    found = object.__new__(queryvectors.Owners)
    found.vectors = SimpleNamespace(index=_stored("owners", vectors), positions=lambda rows: rows)
    found._owners = np.argsort(np.arange(queries) % ANSWERS, kind="stable")
    found._offsets = offsets_of(np.bincount(np.arange(queries) % ANSWERS, minlength=ANSWERS))
    queryvectors.BY_MATRIX = by_matrix
    start = time.process_time()
    for first in range(0, queries, BLOCK):
        rows = np.arange(first, min(first + BLOCK, queries))
        slots = np.concatenate([random.choice(ANSWERS, DEPTH, replace=False) for _ in rows])
        found.score(SimpleNamespace(rows=rows))(np.arange(len(rows) + 1) * DEPTH, slots)
    seconds = f"{time.process_time() - start:.1f}"
    return {"queries": queries, "from a matrix of": f"{by_matrix:,}", "CPU s": seconds}


def batches(arguments: argparse.Namespace) -> list[Row]:
    """Pack greedy batches of 96 and of 16 rows with the default guard."""
    (queries,) = arguments.queries or (32 * NEAR,)
    random, negatives = np.random.default_rng(0), 5
    cluster = np.arange(queries) // NEAR
    centres = random.normal(size=(queries // NEAR + 1, DIMENSION))
    vectors = centres[cluster] + random.normal(size=(queries, DIMENSION))
    documents = np.concatenate([vectors + random.normal(size=vectors.shape), vectors])
    slots = cluster[:, None] * NEAR + random.integers(NEAR, size=(queries, negatives)) + queries
    rows = object.__new__(Rows)
    rows.query = np.arange(queries)
    rows.queries, rows._index_slots = queries, len(documents)
    rows.slots = np.column_stack([rows.query, slots])
    own = rows.query * len(documents) + rows.query
    dropped = rows.query[:, None] * len(documents) + random.integers(queries, size=(queries, DEPTH))
    rows._positives, rows._never, rows._dropped = own, own[:0], np.unique(dropped)
    near = cluster[:, None] * NEAR + random.permutation(NEAR)[: NEAR // 2]
    found = SimpleNamespace(of=lambda query: near[query][near[query] < queries])
    guard = Guard(
        rows,
        f"{BELOW_ITS_POSITIVE} and {BY_VERDICT}",
        Vectors(_stored("queries", vectors), _stored("documents", documents)),
    )
    table = []
    for size in (96, 16):
        start = time.process_time()
        packed = Greedy(found).pack(0, rows.query, size, guard, np.random.default_rng(0))
        each = (time.process_time() - start) / len(packed.batches)
        table.append(
            {"batches of": size, "batches": len(packed.batches), "CPU s a batch": f"{each:.4f}"}
        )
    return table


def trial(arguments: argparse.Namespace) -> list[Row]:
    """Try six depths on 512 queries, with vectors of 1,024 and of 4,096 dimensions."""
    random, table = np.random.default_rng(0), []
    (queries,) = arguments.queries or (512,)
    documents, depths = 32 * queries, (20.0, 0.0, 5.0, 10.0, 40.0)
    for dimension in (1_024, 4_096):
        vectors = random.normal(size=(documents, dimension)).astype(np.float32)
        asked = vectors[:queries] + random.normal(size=(queries, dimension)).astype(np.float32)
        own = np.arange(queries)
        start = time.process_time()
        basis = subspace(vectors)
        sides = unit_vectors(asked, basis), unit_vectors(vectors, basis)
        projected = time.process_time()
        others = np.arange(documents) != own[:, None]
        data = ProbeData([f"q{n}" for n in own], *sides, (own, own), others)
        lists = {depth: random.integers(queries, documents, (queries, 5)) for depth in depths}
        compare(data, depths[0], lists, {5.0: lists[5.0], 0.0: lists[0.0]})
        row = {"projection": projected - start, "probes": time.process_time() - projected}
        table.append(
            {"dimensions": dimension, **{f"{k}, CPU s": f"{v:.1f}" for k, v in row.items()}}
        )
    return table


def scored(arguments: argparse.Namespace) -> list[Row]:
    """Compare the bytes of scored/ that exports and audits read with those of all columns."""
    sizes: dict[str, int] = {}
    for file in Mined(arguments.mined).parts:
        about = pq.read_metadata(file)
        for group in map(about.row_group, range(about.num_row_groups)):
            for column in map(group.column, range(about.num_columns)):
                name = column.path_in_schema
                sizes[name] = sizes.get(name, 0) + column.total_compressed_size
    read = {"all": list(sizes), "exports": NEEDED, "audit": SELECTED}
    return [
        {"columns": name, "MB": f"{sum(sizes[one] for one in names) / MEGABYTE:.1f}"}
        for name, names in read.items()
    ]


def _stored(name: str, vectors: NDArray[np.float64]) -> DenseIndex:
    """Write vectors at length 1, and open them."""
    folder = FOLDER / name
    (folder / "vectors").mkdir(parents=True, exist_ok=True)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(folder / "vectors" / "00000.npy", unit.astype(np.float32))
    return DenseIndex(folder, 1)


MEASURES: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "owners": owners,
    "batches": batches,
    "trial": trial,
    "scored": scored,
}


def main() -> None:
    """Measure one corner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=MEASURES)
    parser.add_argument("--queries", type=int, nargs="+", help="numbers of queries")
    parser.add_argument("--mined", type=Path, help="a mined directory, for `scored`")
    arguments = parser.parse_args()
    with blas_threads(1):
        rows = MEASURES[arguments.name](arguments)
    report(f"corners_{arguments.name}", rows, ["numpy", "numba"])


if __name__ == "__main__":
    main()
