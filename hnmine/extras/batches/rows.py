"""The rows of train/ by number, with the positives and dropped documents of each query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hnmine.array_files import load_array, save_array
from hnmine.directories.mined import Mined
from hnmine.directories.never_negatives import check_negatives, never_negatives
from hnmine.errors import InputError, damage_explained
from hnmine.inputs.identity import exact_keys, first_rows, identity_keys, sort_keys
from hnmine.inputs.texts import Texts
from hnmine.ragged import Ints, offsets_of, ragged
from hnmine.runner.run_directory import Tick

READ_ROWS = 8192
DOCUMENTS = re.compile(r"positive|negative(_\d+)?")
SCORED = ["query_id", "doc_id", "label", "keep"]

POSITIVES, NEVER, DROPPED = range(3)
"""Kinds of pairs of a query and a document."""


def write_rows(mined: Mined, directory: Path, tick: Tick) -> dict[str, int]:
    """Number the rows of train/ and write them with the known and dropped documents of each query.

    Rows and queries are numbered by their texts, so their order in the input changes nothing.
    Queries with the same normalised text are one query; so are documents, in one slot.

    Args:
        mined: with rows as triplets or n-tuples.
        directory: to write to; must not exist.
        tick: called with the number of rows just read.

    Returns:
        Counts: `rows` and `queries`.

    Raises:
        InputError: train/ has no row, or a text that the index lacks.
    """
    candidates, index = mined.candidates, mined.candidates.index.documents
    directory.mkdir()
    keys, queries, slots = [], [], []
    for shard, batch in enumerate(_read(mined)):
        query = batch["query"].to_pylist()
        names = [name for name in batch.schema.names if DOCUMENTS.fullmatch(name)]
        texts = [batch[name].to_pylist() for name in names]
        keys.append(exact_keys("\0".join(row) for row in zip(query, *texts, strict=True)))
        queries.append(identity_keys(query))
        slots.append(_slots([text for row in zip(*texts, strict=True) for text in row], index))
        with (
            pa.OSFile(str(directory / f"{shard:05d}.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, batch.schema) as writer,
        ):
            writer.write_batch(batch)
        tick(len(batch))
    if not keys:
        raise InputError(
            f"{mined.path} has no training rows.",
            why="No query got a negative.",
            fix="See shortfall.parquet there for the reasons, and filter with other rules.",
        )
    query_keys = np.concatenate(queries)
    first = first_rows(query_keys)
    distinct = np.flatnonzero(first == np.arange(len(first)))
    distinct = distinct[sort_keys(query_keys[distinct])]
    number = np.empty(len(first), dtype=np.int64)
    number[distinct] = np.arange(len(distinct))
    by_key = np.empty(len(first), dtype=np.int64)
    by_key[sort_keys(np.concatenate(keys))] = np.arange(len(first))
    order = np.lexsort((by_key, number[first]))
    save_array(directory / "source.npy", order)
    save_array(directory / "query.npy", number[first][order])
    documents = np.concatenate(slots).reshape(len(first), -1)[order]
    save_array(directory / "slots.npy", documents)
    positives, dropped, rows = _known(mined, query_keys[distinct])
    save_array(directory / "positives.npy", positives)
    save_array(directory / "dropped.npy", dropped)
    asked = np.repeat(rows[number[first][order]], documents.shape[1] - 1)
    negatives = index.canonical[documents[:, 1:].ravel()]
    check_negatives(candidates, mined.path, (asked, negatives))
    offsets, never = never_negatives(candidates, rows)
    owner = np.repeat(np.arange(len(rows)), np.diff(offsets))
    never = np.unique(owner * len(index.canonical) + never)
    save_array(directory / "never.npy", never)
    save_array(directory / "query_rows.npy", rows)
    return {"rows": len(first), "queries": len(distinct)}


def _read(mined: Mined) -> Iterator[pa.RecordBatch]:
    for file in mined.train:
        with damage_explained(file):
            for batch in pq.ParquetFile(file).iter_batches(READ_ROWS):
                _check_texts(batch)
                if batch.num_rows:
                    yield batch


def _check_texts(batch: pa.RecordBatch) -> None:
    """Check that rows of train/ hold texts.

    Raises:
        ValueError: a column is missing, or is not text.
    """
    batch.validate(full=True)
    texts = [name for name in batch.schema.names if name == "query" or DOCUMENTS.fullmatch(name)]
    if not {"query", "positive"} <= set(texts):
        raise ValueError("It has no queries, or no positives.")
    for name in texts:
        kind = batch.schema.field(name).type
        if kind not in (pa.string(), pa.large_string()) or batch[name].null_count:
            raise ValueError(f"Its column {name!r} is not all text.")


def _slots(texts: list[str], documents: Texts) -> Ints:
    rows = documents.find_texts(texts)
    if (rows < 0).any():
        raise InputError(
            f"{int((rows < 0).sum()):,} documents of the training rows are not in the index.",
            why=f"The first is {texts[int(rows.argmin())][:80]!r}.",
            fix="Filter again, or give the right index with --index.",
        )
    return documents.slots(rows)


def _known(mined: Mined, queries: NDArray[np.void]) -> tuple[Ints, Ints, Ints]:
    """Return the (query, slot) pairs of positives and of dropped candidates, and query rows.

    A pair is `query * slots + slot`; pairs ascend. A query row is -1 where queries/ lacks it.
    """
    rows = np.full(len(queries), -1)
    texts, documents = mined.candidates.queries.texts, mined.candidates.index.documents
    number = {key.tobytes(): n for n, key in enumerate(queries)}
    positives, dropped = [], []
    for table in mined.read(SCORED):
        ids = table["query_id"].combine_chunks().dictionary_encode()
        at = texts.find_ids(ids.dictionary.to_pylist())
        found = identity_keys(texts.texts(at))
        known = np.array([number.get(key.tobytes(), -1) for key in found], dtype=np.int64)
        rows[known[known >= 0]] = at[known >= 0]
        query = known[ids.indices.to_numpy()]
        positive = (table["label"].fill_null(0).to_numpy() == 1) & (query >= 0)
        fallen = ~positive & ~table["keep"].to_numpy() & (query >= 0)
        slots = documents.slots(documents.find_ids(table["doc_id"].to_pylist()))
        pairs = query * len(documents.canonical) + slots
        positives.append(pairs[positive])
        dropped.append(pairs[fallen])
    return np.unique(np.concatenate(positives)), np.unique(np.concatenate(dropped)), rows


class Rows:
    """What `write_rows` wrote, memory-mapped.

    Attributes:
        query: int64, shape (rows,), ascending: the query of each row.
        slots: int64, shape (rows, documents of a row): its documents in the index, positive first.
        query_rows: int64, shape (queries,): the row of each query in queries/.
        queries: how many there are.
    """

    def __init__(self, directory: Path, slots: int) -> None:
        """Open the rows of an index with so many slots."""
        with damage_explained(directory):
            self._shards = [
                pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
                for path in sorted(directory.glob("*.arrow"))
            ]
            self._starts = offsets_of(np.array([len(shard) for shard in self._shards]))
            rows = int(self._starts[-1])
            if not rows:
                raise ValueError("It has no rows.")
        self.query: Ints = load_array(
            directory / "query.npy", np.int64, (rows,), low=0, below=rows, ascending=True
        )
        self.slots: Ints = load_array(
            directory / "slots.npy", np.int64, (rows, None), low=0, below=slots
        )
        self._source = load_array(directory / "source.npy", np.int64, (rows,), low=0, below=rows)
        self._positives, self._dropped, self._never = (
            load_array(directory / f"{name}.npy", np.int64, low=0, ascending=True)
            for name in ("positives", "dropped", "never")
        )
        self.queries = int(self.query[-1]) + 1
        self.query_rows: Ints = load_array(
            directory / "query_rows.npy", np.int64, (self.queries,), low=0
        )
        self._index_slots = slots
        self._directory, self._checked = directory, set[int]()

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.query)

    def _shard(self, shard: int) -> pa.RecordBatch:
        """Return a shard; the first time, check its offsets and its UTF-8."""
        if shard not in self._checked:
            with damage_explained(self._directory):
                self._shards[shard].validate(full=True)
            self._checked.add(shard)
        return self._shards[shard]

    def take(self, rows: Ints) -> pa.Table:
        """Read rows of train/, in the given order."""
        source = self._source[rows]
        shards = np.searchsorted(self._starts, source, side="right") - 1
        order = np.argsort(shards, kind="stable")
        back = np.empty(len(rows), dtype=np.int64)
        back[order] = np.arange(len(rows))
        parts = [self._shards[0].slice(0, 0)]
        for shard in np.unique(shards):
            at = order[shards[order] == shard]
            parts.append(self._shard(int(shard)).take(pa.array(source[at] - self._starts[shard])))
        return pa.Table.from_batches(parts).combine_chunks().take(pa.array(back))

    def query_texts(self, first: int, last: int) -> list[str]:
        """Return the texts of the queries from `first` to before `last`."""
        rows = np.searchsorted(self.query, np.arange(first, last))
        texts: list[str] = self.take(rows)["query"].to_pylist()
        return texts

    def positives(self, queries: Ints) -> tuple[Ints, Ints]:
        """Return (offsets, slots): the known positives of queries."""
        return self._of_queries(POSITIVES, queries)

    def never(self, queries: Ints) -> tuple[Ints, Ints]:
        """Return (offsets, slots): what may never be a negative of queries."""
        return self._of_queries(NEVER, queries)

    def _of_queries(self, kind: int, queries: Ints) -> tuple[Ints, Ints]:
        pairs, starts_of = self._kinds[kind], self._starts_of[kind]
        starts, stops = starts_of[queries], starts_of[queries + 1]
        found = pairs[ragged(starts, stops - starts)] % self._index_slots
        return offsets_of(stops - starts), found

    def barred(self, queries: Ints, slots: Ints, *, dropped: bool) -> NDArray[np.bool_]:
        """Tell which documents may never be negatives of which queries, shape (queries, slots).

        Args:
            queries: numbers.
            slots: ascending, each once.
            dropped: whether candidates that a rule of `filter` dropped are barred too.
        """
        barred = np.zeros((len(queries), len(slots)), dtype=bool)
        self._place[slots] = np.arange(len(slots))
        for kind in (POSITIVES, NEVER, DROPPED)[: 2 + dropped]:
            offsets, found = self._of_queries(kind, queries)
            place = self._place[found]
            there = place >= 0
            row = np.repeat(np.arange(len(queries)), np.diff(offsets))
            barred[row[there], place[there]] = True
        self._place[slots] = -1
        return barred

    @cached_property
    def _place(self) -> NDArray[np.int32]:
        """The place of each slot among those asked for, which `barred` sets; -1 for others."""
        return np.full(self._index_slots, -1, np.int32)

    @cached_property
    def _starts_of(self) -> list[Ints]:
        """Where the pairs of each query start, by kind."""
        ends = np.arange(self.queries + 1) * self._index_slots
        return [np.searchsorted(pairs, ends) for pairs in self._kinds]

    @property
    def _kinds(self) -> tuple[Ints, Ints, Ints]:
        return self._positives, self._never, self._dropped

    def is_never(self, queries: Ints, slots: Ints) -> NDArray[np.bool_]:
        """Tell which pairs may never be a query and its negative, shape (pairs,)."""
        pairs = queries * self._index_slots + slots
        return _among(pairs, self._positives) | _among(pairs, self._never)

    def is_dropped(self, queries: Ints, slots: Ints) -> NDArray[np.bool_]:
        """Tell which pairs were candidates that a rule of `filter` dropped, shape (pairs,)."""
        return _among(queries * self._index_slots + slots, self._dropped)


def _among(values: Ints, ascending: Ints) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(values), dtype=bool)
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[at] == values
    return found
