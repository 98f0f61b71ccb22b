"""The candidates that one `hnmine filter` scored, beside what the judgements say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.quality.evaluate import Floats, Pool
from benchmarks.quality.protocol import Judged
from hnmine.directories.index import Index

NO_JUDGE = {
    *("rrf_score", "score", "positive_score", "near_copy", "weight"),
    "evidence",
}
"""Columns of numbers that say nothing new, or nothing by themselves, about relevance."""


@dataclass(frozen=True)
class Table:
    """The candidates of a run, ordered by query, then dense rank; known positives left out.

    Args:
        pool: their places and what they were judged to be.
        judges: every score column, by name, shape (candidates,) each.
        anchors: the same for the lowest known positive of each candidate's query.
        to_positive: cosine of each candidate to the known positive nearest to it.
        document: slot of each candidate in the index.
        selected: what hnmine chose.
        kept: what no rule of hnmine dropped.
    """

    pool: Pool
    judges: dict[str, Floats]
    anchors: dict[str, Floats]
    to_positive: Floats
    document: NDArray[np.int64]
    selected: NDArray[np.bool_]
    kept: NDArray[np.bool_]


def load(mined: Path, index: Path, judged: Judged) -> Table:
    """Read a directory that `hnmine filter` wrote.

    A candidate's rank is its place in the dense list without known positives; candidates that
    only another source found come after those of the list, by their similarity. Documents with
    one text are one document.
    """
    table = pq.read_table(mined / "scored")
    opened = Index(index)
    ids = sorted(judged.texts)
    number = {query: n for n, query in enumerate(ids)}
    query = np.array([number[one] for one in table["query_id"].to_pylist()], dtype=np.int64)
    document = slots_of(opened, table["doc_id"].to_pylist())
    positive = _numbers(table, "is_positive").astype(bool)
    candidate = ~positive & ~_numbers(table, "is_query").astype(bool)
    rows, rank = _by_dense_rank(table, query, document, candidate)
    owned = np.flatnonzero(positive)
    size = len(opened.documents)
    hidden, zeros = (_pairs(side, ids, opened, size) for side in (judged.hidden, judged.zeros))
    told = _pairs({one: {known} for one, known in judged.known.items()}, ids, opened, size)
    hidden = np.setdiff1d(hidden, told)
    pair = query[rows] * size + document[rows]
    judges = {
        field.name: _numbers(table, field.name)
        for field in table.schema
        if pa.types.is_floating(field.type) and field.name not in NO_JUDGE
    }
    judges = {name: values for name, values in judges.items() if np.isfinite(values[rows]).any()}
    vectors = np.concatenate(
        [np.load(path) for path in sorted((index / "dense" / "vectors").glob("*.npy"))]
    )
    return Table(
        pool=Pool(
            query=query[rows],
            rank=rank,
            hidden=np.isin(pair, hidden),
            counted=np.isin(np.arange(len(ids)), hidden // size),
            similarity=judges["dense_score"][rows],
            zero=np.isin(pair, np.setdiff1d(zeros, np.concatenate([told, hidden]))),
        ),
        judges={name: values[rows] for name, values in judges.items()},
        anchors={
            name: _lowest(query[owned], values[owned], len(ids))[query[rows]]
            for name, values in judges.items()
        },
        to_positive=_to_positive(vectors, query, document, rows, owned),
        document=document[rows],
        selected=_numbers(table, "selected").astype(bool)[rows],
        kept=_numbers(table, "keep").astype(bool)[rows],
    )


def slots_of(index: Index, documents: list[str]) -> NDArray[np.int64]:
    """Return the slot in the index of each document id; one slot for each distinct text."""
    found = index.documents.find_ids(documents)
    if (found < 0).any():
        raise ValueError(f"{documents[int(found.argmin())]} is not in {index.path}.")
    return index.documents.slots(found)


def _numbers(table: pa.Table, name: str) -> NDArray[Any]:
    """Read a column as numbers, null as NaN."""
    values: NDArray[Any] = table[name].cast(pa.float64()).to_numpy()
    return values


def _by_dense_rank(
    table: pa.Table,
    query: NDArray[np.int64],
    document: NDArray[np.int64],
    candidate: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the candidates' rows by query and dense rank, and their places."""
    listed = np.nan_to_num(_numbers(table, "dense_rank"), nan=np.inf)
    similarity = _numbers(table, "dense_score")
    rows = np.lexsort((document, -similarity, listed, query))
    rows = rows[candidate[rows]]
    starts = np.searchsorted(query[rows], query[rows])
    return rows, np.arange(len(rows)) - starts


def _pairs(
    documents: Mapping[str, set[str]], ids: list[str], index: Index, size: int
) -> NDArray[np.int64]:
    """Return query number x size + slot of each (query, document)."""
    flat = [(n, one) for n, query in enumerate(ids) for one in sorted(documents[query])]
    if not flat:
        return np.empty(0, dtype=np.int64)
    numbers, names = zip(*flat, strict=True)
    return np.unique(np.array(numbers) * size + slots_of(index, list(names)))


def _lowest(query: NDArray[np.int64], values: Floats, queries: int) -> Floats:
    """Return the lowest value of each query's positives."""
    lowest = np.full(queries, np.inf)
    with np.errstate(invalid="ignore"):  # What no judge could score has no lowest.
        np.minimum.at(lowest, query, values)
    return np.where(np.isinf(lowest), np.nan, lowest)


def _to_positive(
    vectors: NDArray[np.float32],
    query: NDArray[np.int64],
    document: NDArray[np.int64],
    rows: NDArray[np.int64],
    owned: NDArray[np.int64],
) -> Floats:
    """Return each row's highest cosine to a known positive of its query."""
    best = np.full(len(rows), -np.inf)
    for one in owned:
        at = slice(*np.searchsorted(query[rows], [query[one], query[one] + 1]))
        cosine = vectors[document[rows[at]]] @ vectors[document[one]]
        best[at] = np.maximum(best[at], cosine)
    return best
