"""Data files as record batches: every row of them, or an error."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from hnmine.errors import InputError
from hnmine.inputs.bad_rows import BadRows
from hnmine.inputs.formats import open_reader
from hnmine.inputs.formats.json_values import MIXED, NO_UTF_8
from hnmine.inputs.formats.reader import Asked, Reader
from hnmine.inputs.listing import list_files
from hnmine.inputs.unchanged import Unchanged, explained

ANYTHING = Asked()
ENCODING = ", or pass its encoding, such as --encoding cp1252 for Windows and Latin-1"
SKIP = "--on-bad-row skip leaves such lines out and counts them."


@dataclass(frozen=True)
class DataFile:
    """One file of an input, opened.

    Attributes:
        reader: of its rows.
        contents: of the files that its rows are made from; checks that they stay as they were.
        partitions: columns that its folders are named after, as Hive does, with their value.
    """

    reader: Reader
    contents: tuple[Unchanged, ...]
    partitions: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        path: Path,
        partitions: Mapping[str, str | None] | None = None,
        asked: Asked = ANYTHING,
    ) -> DataFile:
        """Find the columns of a file.

        Raises:
            InputError: it cannot be read, or two of its columns have one name.
        """
        with explained(path), (content := Unchanged(path)).reading():
            reader = open_reader(path, asked)
        named = (partitions or {}).items()
        more = {key: value for key, value in named if key not in reader.types}
        return cls(reader, (content,), more)

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
        found = list_files(path, asked.reading.splits, strict=strict, any_ending=any_ending)
        return [cls.open(one.path, one.partitions, asked) for one in found]

    @property
    def path(self) -> Path:
        """The file."""
        return self.reader.path

    @property
    def types(self) -> dict[str, list[pa.DataType]]:
        """The types of each column; several where a JSONL file changes a type."""
        return self.reader.types | {key: [pa.large_string()] for key in self.partitions}

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
            several: the same, but a list is a value.

        Raises:
            InputError: the file turned out to be damaged half-way, or changed; or it has lines that
                are no rows and may not be skipped.
        """
        skip = bad if bad and bad.mode == "skip" else None
        self._report(self.reader.bad, skip)
        types = self.types
        there = [name for name in columns if name in types]
        names = [name for name in there if name not in self.partitions]
        rows = self.reader.bad.counts.total()
        with self.contents[0].reading(), explained(self.path):
            for batch in self.reader.batches(names):
                batch.validate(full=True)
                if not batch.num_rows:
                    continue
                rows += batch.num_rows
                odd = BadRows()
                batch = _usable(batch, odd, single, several)
                self._report(odd, skip)
                if batch.num_rows:
                    yield self._with_partitions(batch, there)
            if self.reader.rows not in (None, rows):
                raise ValueError(f"{rows:,} of its {self.reader.rows:,} rows can be read.")

    def _with_partitions(self, batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
        columns = [
            pa.array([self.partitions[name]] * batch.num_rows, pa.large_string())
            if name in self.partitions
            else batch[name]
            for name in names
        ]
        return pa.RecordBatch.from_arrays(columns, names=names)

    def _report(self, lines: BadRows, bad: BadRows | None) -> None:
        """Record lines that are no rows, or refuse them."""
        total = lines.counts.total()
        if total and bad is None:
            raise InputError(
                f"Cannot read {self.path}: {total:,} "
                f"{'line is not a row' if total == 1 else 'lines are not rows'}.",
                why="\n".join(lines.examples),
                fix=f"Correct the file{ENCODING if NO_UTF_8 in lines.counts else ''}; or {SKIP}",
            )
        if total and bad:
            bad.add_all(lines.counts, [f"{self.path}, {example}" for example in lines.examples])

    def count_rows(self) -> int:
        """Count the rows, lines that are no rows included.

        Raises:
            InputError: a row of a CSV file cannot be read.
        """
        if self.reader.rows is not None:
            return self.reader.rows
        return sum(batch.num_rows for batch in self.batches(list(self.types)[:1]))


def _usable(
    batch: pa.RecordBatch, odd: BadRows, single: Collection[str], several: Collection[str]
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
                odd.add_line(
                    line,
                    f"with a list or an object as {one.name}",
                    f"{one.name!r} is a list or an object, and text in other lines",
                )
    if not dropped:
        return batch
    columns = []
    keep = pa.array([row for row in range(batch.num_rows) if row not in dropped], pa.int64())
    for one, column in zip(batch.schema, batch.take(keep).columns, strict=True):
        if one.name in single and pa.types.is_list(one.type) and MIXED in (one.metadata or {}):
            # Lists of one item, or none, that stand for single values.
            values = [items[0] if items else None for items in column.to_pylist()]
            column = pa.array(values, column.type.value_type)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
