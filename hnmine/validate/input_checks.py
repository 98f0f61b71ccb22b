"""One pass over documents or queries: repeats, copies, ids with two texts, and a sample.

Memory holds only keys of 16 bytes and a sample of the texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xxhash
from numpy.typing import NDArray

from hnmine.inputs.identity import Keys, Lookup, exact_keys, first_rows, identity_keys
from hnmine.inputs.nearest import near
from hnmine.inputs.records import PairBatch, TextBatch
from hnmine.inputs.table_reader import BadRows, Table
from hnmine.inputs.texts import _rows_to_keep
from hnmine.sources.positives import find_documents

Rows = NDArray[np.int64]
Tick = Callable[[int], None]

SAMPLE = 20_000
"""Texts that lengths and near copies are estimated from."""

EXAMPLES = 5

HUGE = 1_000_000
"""Characters from which on a text is hardly a passage."""


@dataclass(frozen=True)
class Gathered:
    """Documents or queries as keys: those that would be written, and a sample of them.

    Attributes:
        ids: key of each row's id, shape (rows,).
        identities: key of each row's normalised text, shape (rows,).
        places: int64, shape (rows,), ascending: where each row stood in the stream.
        read: rows of the stream, repeats and conflicts counted.
        repeated: rows of the stream that only repeat another.
        conflicts: places of rows that share an id and differ in text; a few of them, to show.
        sample: row to text, for up to `SAMPLE` canonical rows; which texts depends on the seed and
            the texts alone, not on the order of the rows.
        huge: rows of the stream with more than `HUGE` characters.
        longest: characters of the longest text of the stream.
    """

    ids: Keys
    identities: Keys
    places: Rows
    read: int
    repeated: int
    conflicts: list[tuple[int, int]]
    sample: dict[int, str]
    huge: int = 0
    longest: int = 0

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.ids)

    @cached_property
    def identity(self) -> Rows:
        """The first row with the same normalised text, shape (rows,)."""
        return first_rows(self.identities)

    @cached_property
    def canonical(self) -> Rows:
        """The rows that are their own identity, ascending."""
        return np.flatnonzero(self.identity == np.arange(len(self)))

    @cached_property
    def _by_id(self) -> Lookup:
        return Lookup.build(self.ids)

    @cached_property
    def _by_identity(self) -> Lookup:
        return Lookup.build(self.identities)

    def find_ids(self, ids: Iterable[str]) -> Rows:
        """Return the row of each id, or -1, shape (n,)."""
        return self.find_keys(exact_keys(ids))

    def find_keys(self, ids: Keys) -> Rows:
        """Return the row of each id's key, or -1, shape (n,)."""
        return self._by_id.find(ids)

    def find_texts(self, texts: list[str]) -> Rows:
        """Return for each text a row whose text is the same, or -1, shape (n,)."""
        return self._by_identity.find(identity_keys(texts))

    def find_identities(self, identities: Keys) -> Rows:
        """Return for each key of a normalised text the row that holds it, or -1, shape (n,)."""
        return self._by_identity.find(identities)


class _Watcher:
    """Collects keys and a sample from a stream of batches."""

    def __init__(self, seed: int) -> None:
        self.keys: list[tuple[Keys, Keys, Keys]] = []
        self.sample: dict[int, str] = {}
        self._seed = np.uint64(xxhash.xxh3_64_intdigest(str(seed).encode()))
        self._limit = np.uint64(2**64 - 1)
        self.huge = self.longest = 0

    def watch(self, batches: Iterable[TextBatch]) -> Iterator[TextBatch]:
        for batch in batches:
            identities = identity_keys(batch.texts)
            lengths = list(map(len, batch.texts))
            self.huge += sum(length > HUGE for length in lengths)
            self.longest = max(self.longest, *lengths, 0)
            self.keys.append((exact_keys(batch.ids), exact_keys(batch.texts), identities))
            priorities = identities.view(np.uint64)[::2] ^ self._seed
            for row in np.flatnonzero(priorities <= self._limit):
                self.sample.setdefault(int(priorities[row]), batch.texts[row])
            # Hashes are as good as random: half of them are below half of the limit.
            while len(self.sample) > 2 * SAMPLE:
                self._limit >>= np.uint64(1)
                self.sample = {n: text for n, text in self.sample.items() if n <= self._limit}
            yield batch


def gather(
    batches: Iterable[TextBatch], conflicts: BadRows, seed: int, tick: Tick
) -> Gathered | None:
    """Read documents or queries once; None if no row can be used."""
    watcher = _Watcher(seed)
    keep, repeated = _rows_to_keep(watcher.watch(batches), conflicts, tick)
    if not keep.any():
        return None
    ids, texts, identities = (np.concatenate(keys) for keys in zip(*watcher.keys, strict=True))
    places = np.flatnonzero(keep)
    found = Gathered(
        ids[places], identities[places], places, len(keep), repeated, [], {},
        watcher.huge, watcher.longest,
    )  # fmt: skip
    found.conflicts.extend(_conflicts(found, ids, texts))
    drawn = [watcher.sample[priority] for priority in sorted(watcher.sample)]
    # A text that stands only in rows left out is no document.
    rows = [
        (row, text) for row, text in zip(found.find_texts(drawn), drawn, strict=True) if row >= 0
    ]
    found.sample.update((int(row), text) for row, text in rows[:SAMPLE])
    return found


def _conflicts(found: Gathered, ids: Keys, texts: Keys) -> list[tuple[int, int]]:
    left = np.setdiff1d(np.arange(found.read), found.places)
    rows = found.find_keys(ids[left])
    left, first = left[rows >= 0], found.places[rows[rows >= 0]]
    differ = np.flatnonzero(texts[first] != texts[left])[:EXAMPLES]
    return [(int(first[n]), int(left[n])) for n in differ]


def pick(batches: Iterable[TextBatch], places: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return (id, text) of a few places of a stream, reading no further than the last of them."""
    wanted, found, start = sorted(set(places)), dict[int, tuple[str, str]](), 0
    for batch in batches:
        for place in wanted:
            if start <= place < start + len(batch.ids):
                found[place] = (batch.ids[place - start], batch.texts[place - start])
        start += len(batch.ids)
        if not wanted or start > wanted[-1]:
            break
    return found


def ids_without_text(table: Table, usable: Gathered) -> Lookup:
    """Find the ids of a table that stand in none of its usable rows.

    Raises:
        InputError: the table cannot be read.
    """
    keys = [exact_keys([])]
    for _, batch in table.batches(BadRows("skip")):
        ids = table.text(batch, "id")
        if ids is not None:
            found = exact_keys(value for value in ids.to_pylist() if value is not None)
            keys.append(found[usable.find_keys(found) < 0])
    return Lookup.build(np.concatenate(keys))


@dataclass(frozen=True)
class Side:
    """One end of a join: the queries, or the documents.

    Attributes:
        what: `query` or `positive`.
        rows: those that would be written; None where no input has them, so all count as found.
        textless: ids that the input has, but with no text.
        bad: where pairs are recorded that find nothing at this end.
    """

    what: str
    rows: Gathered | None
    textless: Lookup
    bad: BadRows

    def record(self, found: Rows, ids: list[str] | None, where: list[int], source: str) -> None:
        """Record the pairs that find nothing at this end."""
        missing = np.flatnonzero(found < 0)
        named = [ids[pair] for pair in missing] if ids else []
        textless = self.textless.find(exact_keys(named)) >= 0
        for n, pair in enumerate(missing):
            reason = "has no usable text" if named and textless[n] else "does not exist"
            name = f", {self.what} {named[n]!r}" if named else ""
            if named and self.rows and self.bad.shows_more:
                name += near(named[n], self.rows, "there is")
            self.bad.add(f"whose {self.what} {reason}", f"{source}, row {where[pair]}{name}")


def join(
    pairs: Iterable[PairBatch], queries: Side, documents: Side, source: str, tick: Tick
) -> tuple[Rows, Rows]:
    """Join pairs with queries and documents.

    Returns:
        The query and the document of each pair that joins, both shape (pairs,).
    """
    found: list[tuple[Rows, Rows]] = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for batch in pairs:
        tick(len(batch.rows))
        everything = np.zeros(len(batch.rows), dtype=np.int64)
        query = queries.rows.find_ids(batch.query_ids) if queries.rows else everything
        document = find_documents(batch, documents.rows) if documents.rows else everything
        queries.record(query, batch.query_ids, batch.rows, source)
        documents.record(document, batch.positive_ids, batch.rows, source)
        both = (query >= 0) & (document >= 0)
        found.append((query[both], document[both]))
    query, document = (np.concatenate(rows) for rows in zip(*found, strict=True))
    return query, document
