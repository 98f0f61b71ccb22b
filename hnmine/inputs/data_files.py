"""Data files as record batches: every row of them, or an error."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from hnmine.errors import InputError
from hnmine.inputs.bad_rows import BadRows
from hnmine.inputs.formats import reader_of
from hnmine.inputs.formats.json_values import MIXED, NO_UTF_8
from hnmine.inputs.formats.table_format import Asked, BadLines, Format
from hnmine.inputs.listing import list_files
from hnmine.inputs.reading import explained as explained
from hnmine.inputs.unchanged import Unchanged

ANYTHING = Asked()
ENCODING = ", or pass its encoding, such as --encoding cp1252 for Windows and Latin-1"
SKIP = "--on-bad-row skip leaves such lines out and counts them."


@dataclass(frozen=True)
class DataFile:
    """One file of an input, opened.

    Attributes:
        path: the file.
        types: of each column; several where a JSONL file changes its mind half-way.
        rows: how many it has, bad lines included; None for CSV, which has not been read yet.
        content: checks that it stays as it was.
        reader: of its rows.
        partitions: columns that its folders are named after, as Hive does, with their value.
        bad: lines that are no rows.
        mixed: columns of a JSON file that hold values of several types.
        others: the contents of further files that its rows are made from.
    """

    path: Path
    types: dict[str, list[pa.DataType]]
    rows: int | None
    content: Unchanged
    reader: Format
    partitions: Mapping[str, str | None] = field(default_factory=dict)
    bad: BadLines = field(default_factory=BadLines)
    mixed: Collection[str] = ()
    others: tuple[Unchanged, ...] = ()

    @classmethod
    def open(
        cls,
        path: Path,
        partitions: Mapping[str, str | None] | None = None,
        asked: Asked = ANYTHING,
    ) -> DataFile:
        """Find the columns of a file.

        Args:
            path: the file.
            partitions: columns that its folders are named after; those in the file come first.
            asked: what it is read for, and how.

        Raises:
            InputError: it cannot be read, or two of its columns have one name.
        """
        with explained(path), (content := Unchanged(path)).reading():
            reader = reader_of(path, asked)
            found = reader.columns(path)
            types: dict[str, list[pa.DataType]] = {}
            for one in found.fields:
                types.setdefault(one.name, []).append(one.type)
            more = {key: value for key, value in (partitions or {}).items() if key not in types}
            types |= {key: [pa.large_string()] for key in more}
            return cls(path, types, found.rows, content, reader, more, found.bad, found.mixed)

    @property
    def said(self) -> tuple[str, ...]:
        """What the user should know of how it is read."""
        return getattr(self.reader, "said", ())

    @property
    def contents(self) -> tuple[Unchanged, ...]:
        """What the rows depend on."""
        return (self.content, *self.others)

    @classmethod
    def open_all(
        cls,
        path: str,
        asked: Asked = ANYTHING,
        *,
        strict: bool = True,
        any_ending: bool = False,
    ) -> list[DataFile]:
        """Open the files of an input, in the order in which they are read; see `list_files`."""
        found = list_files(path, asked.splits, strict=strict, any_ending=any_ending)
        return [cls.open(one.path, one.partitions, asked) for one in found]

    def batches(
        self,
        columns: list[str],
        bad: BadRows | None = None,
        single: Collection[str] = (),
        several: Collection[str] = (),
    ) -> Iterator[pa.RecordBatch]:
        """Stream those of the columns that the file has, at most `BATCH_ROWS` rows at once.

        Args:
            columns: their names.
            bad: records lines that are no rows, if they may be skipped.
            single: columns in which a list or an object is no value, where others have text.
            several: likewise, but a list is a value.

        Raises:
            InputError: the file turned out to be damaged half-way, or changed; or it has lines that
                are no rows and may not be skipped.
        """
        skip = bad if bad and bad.mode == "skip" else None
        self._report(self.bad, skip)
        there = [name for name in columns if name in self.types]
        names = [name for name in there if name not in self.partitions]
        rows = self.bad.total
        with self.content.reading(), explained(self.path):
            for batch in self.reader.batches(self.path, names):
                batch.validate(full=True)
                if not batch.num_rows:
                    continue
                rows += batch.num_rows
                odd = BadLines()
                batch = _usable(batch, odd, single, several)
                self._report(odd, skip)
                if batch.num_rows:
                    yield self._with_partitions(batch, there)
            if self.rows not in (None, rows):
                raise ValueError(f"{rows:,} of its {self.rows:,} rows can be read.")

    def _with_partitions(self, batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
        columns = [
            pa.array([self.partitions[name]] * batch.num_rows, pa.large_string())
            if name in self.partitions
            else batch[name]
            for name in names
        ]
        return pa.RecordBatch.from_arrays(columns, names=names)

    def _report(self, lines: BadLines, bad: BadRows | None) -> None:
        """Record lines that are no rows, or refuse them."""
        if not lines.total:
            return
        if bad is None:
            what = "line is" if lines.total == 1 else "lines are"
            raise InputError(
                f"Cannot read {self.path}: {lines.total:,} {what} no row.",
                why="\n".join(lines.examples),
                fix=f"Correct the file{ENCODING if NO_UTF_8 in lines.counts else ''}; or {SKIP}",
            )
        examples = [f"{self.path}, {example}" for example in lines.examples]
        bad.add_all(lines.counts, examples)

    def count_rows(self) -> int:
        """Count the rows, lines that are no rows included.

        Raises:
            InputError: a row of a CSV file cannot be read.
        """
        if self.rows is not None:
            return self.rows
        return sum(batch.num_rows for batch in self.batches(list(self.types)[:1]))


def _usable(
    batch: pa.RecordBatch, odd: BadLines, single: Collection[str], several: Collection[str]
) -> pa.RecordBatch:
    """Leave out rows that hold a list or an object where the others hold text."""
    dropped: dict[int, int] = {}
    for one in batch.schema:
        marks = json.loads((one.metadata or {}).get(MIXED, "{}"))
        lists = pa.types.is_list(one.type)
        if not marks or not (one.name in single or (one.name in several and not lists)):
            continue
        for row, line in marks.items():
            if int(row) not in dropped:
                dropped[int(row)] = line
                odd.add(
                    line,
                    f"with a list or an object as {one.name}",
                    f"{one.name!r} is a list or an object, and text in other lines",
                )
    columns = []
    keep = pa.array([row for row in range(batch.num_rows) if row not in dropped], pa.int64())
    if not dropped:
        return batch
    for one, column in zip(batch.schema, batch.take(keep).columns, strict=True):
        if one.name in single and pa.types.is_list(one.type) and MIXED in (one.metadata or {}):
            column = _first_items(column)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _first_items(column: pa.ListArray) -> pa.Array:
    """Return lists of one item, or none, as what is in them."""
    values = [items[0] if items else None for items in column.to_pylist()]
    return pa.array(values, column.type.value_type)


def find_files(path: str) -> list[Path]:
    """List the data files of an input; see `list_files`."""
    return [one.path for one in list_files(path)]
