"""Texts with ids on disk, in memory-mapped shards: the corpus, and the queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.array_files import AT_ONCE, give_back, load_array, save_array
from hnmine.errors import InputError, damage_explained
from hnmine.inputs.identity import Lookup, exact_keys, first_rows, identity_keys
from hnmine.inputs.records import TextBatch
from hnmine.inputs.table_reader import BadRows
from hnmine.ragged import Ints, offsets_of, ragged

OPEN_SHARDS = 64
"""Shards held open at once: memory-mapped, so this bounds descriptors, not memory."""

Tick = Callable[[int], None]


def write_texts(
    read: Callable[[BadRows], Iterable[TextBatch]],
    directory: Path,
    shard_rows: int,
    bad: BadRows,
    tick: Tick,
) -> dict[str, int]:
    """Write texts into a new directory; rows that only repeat an earlier one are merged into it.

    A row repeats another when both have one id and one text, or when it has no id of its own and
    its text is already indexed.

    Args:
        read: streams the input and records bad rows; called twice, so that only keys are
            held in memory.
        directory: where to write; must not exist.
        shard_rows: rows in each shard.
        bad: where one id with two texts is recorded.
        tick: called with the rows read.

    Returns:
        Counts: `rows` kept, `repeated` and `unique` (distinct by normalised text); and `added`,
        the rows kept of passages that a corpus lacks, if there are any.

    Raises:
        InputError: through `bad`, or no row is left.
    """
    keep, repeated = _rows_to_keep(read(bad), bad, tick)
    bad.settle()
    if not keep.any():
        raise InputError("No row of the input can be used.", fix="Check its text column.")
    directory.mkdir()
    ids, texts, identities = [], [], []
    added = 0

    def kept() -> Iterator[pa.Table]:
        nonlocal added
        start = 0
        for batch in read(BadRows("skip")):
            chosen = np.flatnonzero(keep[start : start + len(batch.texts)])
            start += len(batch.texts)
            added += len(chosen) if batch.beside_corpus else 0
            kept_ids = [batch.ids[row] for row in chosen]
            kept_texts = [batch.texts[row] for row in chosen]
            ids.append(exact_keys(kept_ids))
            texts.append(exact_keys(kept_texts))
            identities.append(identity_keys(kept_texts))
            columns = {
                "id": pa.array(kept_ids, pa.large_string()),
                "text": pa.array(kept_texts, pa.large_string()),
            }
            if batch.metadata is not None:
                columns["metadata"] = batch.metadata.take(pa.array(chosen))
            yield pa.table(columns)
            tick(len(batch.texts))

    for number, shard in enumerate(_in_shards(kept(), shard_rows)):
        with (
            pa.OSFile(str(directory / f"{number:05d}.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, shard.schema) as writer,
        ):
            writer.write_table(shard, max_chunksize=shard_rows)
    Lookup.build(np.concatenate(ids)).save(directory / "ids")
    Lookup.build(np.concatenate(texts)).save(directory / "texts")
    identity_of = np.concatenate(identities)
    Lookup.build(identity_of).save(directory / "identities")
    identity = first_rows(identity_of)
    save_array(directory / "identity.npy", identity)
    canonical = np.flatnonzero(identity == np.arange(len(identity)))
    save_array(directory / "canonical.npy", canonical)
    counts = {"rows": len(identity), "repeated": repeated, "unique": len(canonical)}
    return counts | ({"added": added} if added else {})


def _rows_to_keep(
    batches: Iterable[TextBatch], bad: BadRows, tick: Tick
) -> tuple[NDArray[np.bool_], int]:
    """Find the rows that add something; report ids that stand for two texts."""
    ids, texts, own = [], [], []
    for batch in batches:
        ids.append(exact_keys(batch.ids))
        texts.append(exact_keys(batch.texts))
        own.append(np.full(len(batch.texts), batch.has_own_id))
        tick(len(batch.texts))
    if not ids:
        return np.zeros(0, dtype=bool), 0
    id_keys, text_keys, has_own_id = np.concatenate(ids), np.concatenate(texts), np.concatenate(own)
    rows = np.arange(len(id_keys))
    first_id = first_rows(id_keys)
    conflict = text_keys != text_keys[first_id]
    # A row that is left out holds no text for another.
    first_text = np.copy(rows)
    first_text[~conflict] = rows[~conflict][first_rows(text_keys[~conflict])]
    repeats = (first_id != rows) | (~has_own_id & (first_text != rows))
    for row in np.flatnonzero(conflict):
        bad.add(
            "with the id of another row and another text", f"usable rows {first_id[row]} and {row}"
        )
    keep: NDArray[np.bool_] = ~repeats & ~conflict
    return keep, int((repeats & ~conflict).sum())


def _in_shards(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the rows of tables, so many at once and in one chunk each."""
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        while sum(one.num_rows for one in pending) >= rows:
            whole = pa.concat_tables(pending, promote_options="default")
            yield whole.slice(0, rows).combine_chunks()
            pending = [whole.slice(rows)]
    if any(one.num_rows for one in pending):
        yield pa.concat_tables(pending, promote_options="default").combine_chunks()


def _open_shard(directory: Path, checked: set[int], shard: int) -> pa.RecordBatch:
    """Open a shard, memory-mapped; the first time, check its types, its offsets and its UTF-8."""
    path = directory / f"{shard:05d}.arrow"
    with damage_explained(path):
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        if file.num_record_batches != 1:
            raise ValueError(f"It holds {file.num_record_batches:,} batches of rows.")
        for name in ("id", "text"):
            if file.schema.field(name).type != pa.large_string():
                raise ValueError(f"Its column {name} is {file.schema.field(name).type}.")
        batch = file.get_batch(0)
        if shard not in checked:
            batch.validate(full=True)
            if batch["id"].null_count or batch["text"].null_count:
                raise ValueError("A row has no id or no text.")
            checked.add(shard)
        return batch


def _check_identities(identity: NDArray[np.int64], canonical: NDArray[np.int64]) -> None:
    """Check that every row stands for itself or for an earlier one that stands for itself."""
    found = 0
    for start in range(0, len(identity), AT_ONCE):
        part = identity[start : start + AT_ONCE]
        rows = np.arange(start, start + len(part))
        own = rows[part == rows]
        others = np.asarray(part[part != rows])
        if not np.array_equal(own, canonical[found : found + len(own)]):
            raise ValueError("identity.npy and canonical.npy contradict each other.")
        if len(others) and (others.min() < 0 or (others > rows[part != rows]).any()):
            raise ValueError("identity.npy holds rows that do not exist, or come later.")
        if not np.array_equal(identity[others], others):
            raise ValueError("identity.npy holds a row that does not stand for itself.")
        found += len(own)
        give_back(part)
    if found != len(canonical):
        raise ValueError("identity.npy and canonical.npy contradict each other.")


class Texts:
    """Texts by row number, memory-mapped; rows with one normalised text share one canonical row.

    Attributes:
        identity: int64, shape (rows,): the first row with the same normalised text.
        canonical: int64, shape (unique,), ascending: the rows that are their own identity. A
            position in this array is a `slot`, and only these rows are indexed and encoded.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.identity = load_array(directory / "identity.npy", np.int64)
        self.canonical = load_array(directory / "canonical.npy", np.int64)
        with damage_explained(directory):
            if not len(self.identity):
                raise ValueError("It has no rows.")
            _check_identities(self.identity, self.canonical)
        self._ids, self._texts, self._identities = (
            Lookup.load(directory / name, len(self)) for name in ("ids", "texts", "identities")
        )
        # Not a method, which would hold the texts, and with them all files, until a collection.
        self._shard = lru_cache(maxsize=OPEN_SHARDS)(partial(_open_shard, directory, set()))
        self._shard_rows = self._shard(0).num_rows

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.identity)

    def check_rows(self, rows: NDArray[np.int64]) -> None:
        """Refuse rows that do not exist, such as -1 for an unknown id.

        Raises:
            InputError: another directory names a text that is not in this one.
        """
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise InputError(
                f"{self.directory} lacks a text that another directory names.",
                why="One of them is damaged, or they are from different runs.",
                fix="Pass directories of one run, or rebuild the later one.",
            )

    def _take(self, rows: NDArray[np.int64], column: str) -> pa.Array:
        self.check_rows(rows)
        shards = rows // self._shard_rows
        parts, order = [], []
        for shard in np.unique(shards):
            at = np.flatnonzero(shards == shard)
            values = self._column(int(shard), column)
            parts.append(values.take(pa.array(rows[at] - shard * self._shard_rows)))
            order.append(at)
        if not parts:
            return self._column(0, column).slice(0, 0)
        back = np.empty(len(rows), dtype=np.int64)
        back[np.concatenate(order)] = np.arange(len(rows))
        with damage_explained(self.directory):  # Shards may differ in what else they say.
            return pa.concat_arrays(parts).take(pa.array(back))

    def _column(self, shard: int, column: str) -> pa.Array:
        batch = self._shard(shard)
        with damage_explained(self.directory / f"{shard:05d}.arrow"):
            rows = min(self._shard_rows, len(self) - shard * self._shard_rows)
            if batch.num_rows != rows:
                raise ValueError(f"It holds {batch.num_rows:,} rows, not {rows:,}.")
        if column in batch.schema.names:
            return batch[column]
        return pa.nulls(batch.num_rows, self.metadata_type)

    @cached_property
    def metadata_type(self) -> pa.StructType:
        """What else the input said of its rows: a field for each column; none if nothing."""
        for shard in range(-(-len(self) // self._shard_rows)):
            names = self._shard(shard).schema
            if "metadata" in names.names:
                return names.field("metadata").type
        return pa.struct([])

    def texts(self, rows: NDArray[np.int64]) -> list[str]:
        """Read the texts of rows, shape (n,)."""
        values: list[str] = self._take(rows, "text").to_pylist()
        return values

    def text_array(self, rows: NDArray[np.int64]) -> pa.Array:
        """Read the texts of rows, shape (n,), as an Arrow array."""
        return self._take(rows, "text")

    def sizes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the bytes of the texts of rows, shape (n,), without reading the texts."""
        self.check_rows(rows)
        found = np.empty(len(rows), dtype=np.int64)
        shards = rows // self._shard_rows
        for shard in np.unique(shards):
            at = np.flatnonzero(shards == shard)
            values = self._column(int(shard), "text")
            bounds = np.frombuffer(values.buffers()[1], np.int64)[values.offset :]
            row = rows[at] - shard * self._shard_rows
            found[at] = bounds[row + 1] - bounds[row]
        return found

    def id_array(self, rows: NDArray[np.int64]) -> pa.Array:
        """Read the ids of rows, shape (n,), as an Arrow array."""
        return self._take(rows, "id")

    def metadata(self, rows: NDArray[np.int64]) -> pa.StructArray:
        """Read what else the input said of rows, shape (n,); a struct of no fields if nothing."""
        return self._take(rows, "metadata")

    def slot_texts(self, start: int, stop: int) -> Iterator[str]:
        """Stream the texts of the slots from `start` to before `stop`."""
        yield from self.each_text(self.canonical[start:stop])

    def each_text(self, rows: NDArray[np.int64]) -> Iterator[str]:
        """Stream the texts of rows, shape (n,)."""
        for first in range(0, len(rows), 1024):
            yield from self.texts(rows[first : first + 1024])

    def slots(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slot that stands for each row, shape (n,)."""
        self.check_rows(rows)
        first: NDArray[np.int64] = np.asarray(self.identity[rows])
        if len(self.canonical) == len(self):  # No text is there twice.
            return first
        return np.searchsorted(self.canonical, first)

    @cached_property
    def _repeated(self) -> tuple[Ints, Ints]:
        """The rows with the text of an earlier one, by that row, and that row, ascending."""
        repeats = [np.empty(0, np.int64)]
        for start in range(0, len(self), AT_ONCE):
            part = self.identity[start : start + AT_ONCE]
            repeats.append(start + np.flatnonzero(part != np.arange(start, start + len(part))))
            give_back(part)
        rows = np.concatenate(repeats)
        first = self.identity[rows]
        order = np.argsort(first, kind="stable")
        return rows[order], first[order]

    def copies(self, rows: NDArray[np.int64]) -> tuple[Ints, Ints]:
        """Return (offsets, rows): for each row all rows with the same normalised text."""
        self.check_rows(rows)
        first, (repeats, of) = self.identity[rows], self._repeated
        starts = np.searchsorted(of, first)
        counts = np.searchsorted(of, first, side="right") - starts
        offsets = offsets_of(counts + 1)
        found = np.empty(offsets[-1], np.int64)
        is_first = np.zeros(len(found), dtype=bool)
        is_first[offsets[:-1]] = True
        found[is_first], found[~is_first] = first, repeats[ragged(starts, counts)]
        return offsets, found

    def find_ids(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """Return the row of each id, or -1, shape (n,)."""
        return self._ids.find(exact_keys(ids))

    def find_texts(self, texts: list[str]) -> NDArray[np.int64]:
        """Return for each text the row that holds it, else one whose text is the same, else -1."""
        rows = self._texts.find(exact_keys(texts))
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            rows[missing] = self.find_same(texts[row] for row in missing)
        return rows

    def rows_in(self, others: Texts) -> NDArray[np.int64]:
        """Return for each row the canonical row of other texts that is the same, or -1."""
        found = np.full(len(self), -1, dtype=np.int64)
        found[self._identities.rows] = others._identities.find(self._identities.keys)
        return found[self.identity]

    def find_same(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Return the canonical row whose normalised text is the same, or -1, shape (n,)."""
        return self._identities.find(identity_keys(texts))
