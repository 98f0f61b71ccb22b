"""JSON files as record batches: Arrow parses them, Python what Arrow refuses or would change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from hnmine.inputs.bad_rows import BadRows
from hnmine.inputs.formats.json_layout import Block, find_layout, json_blocks
from hnmine.inputs.formats.json_values import EXACT, MIXED, TOO_DEEP, NoRow, load_row, to_batch
from hnmine.inputs.formats.reader import BATCH_ROWS, Asked, Reader
from hnmine.runner.incidents import note_once

JSON_BLOCK = 1 << 24
"""Bytes that are parsed at once."""

DEEPEST = 100
"""Nested objects and lists in a JSON line; at some thousands Arrow's parser overflows the stack."""


class JsonReader(Reader):
    """A file of objects: one a line, in an array, or in the one list of an object.

    All of it is read to find its columns.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        layout = find_layout(path, asked.reading.encoding)
        if layout.left_out:
            left_out = ", ".join(map(repr, layout.left_out[:5]))
            note_once(f"{path}: the rows are those of {layout.key!r}; {left_out} is left out.")
        self._layout, self._encoding = layout, asked.reading.encoding
        rows = 0
        fields: dict[pa.Field, None] = {}
        self.bad = BadRows()
        self.mixed = set[str]()
        wide: set[str] = set()
        for block in json_blocks(path, layout, JSON_BLOCK, asked.reading.encoding):
            for batch in _parse(block, self.bad):
                rows += batch.num_rows
                fields |= dict.fromkeys(field.remove_metadata() for field in batch.schema)
                self.mixed |= {one.name for one in batch.schema if MIXED in (one.metadata or ())}
                wide |= {name for name in batch.schema.names if _is_wide(batch[name])}
        if self.bad.counts and not rows:
            raise ValueError(self.bad.examples[0])
        self.rows = rows + self.bad.counts.total()
        # Whole numbers that a float would change, and floats, have only text in common.
        floats = {field.name for field in fields if pa.types.is_floating(field.type)}
        fields |= dict.fromkeys(pa.field(name, pa.string()) for name in floats & wide)
        super().__init__(path, list(fields))

    def batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns; what a block of rows lacks is null there."""
        for block in json_blocks(self.path, self._layout, JSON_BLOCK, self._encoding):
            for batch in _parse(block, BadRows()):
                there = batch.schema.names
                fields = [
                    batch.schema.field(name) if name in there else pa.field(name, pa.null())
                    for name in names
                ]
                nothing = pa.nulls(batch.num_rows)
                columns = [batch[name] if name in there else nothing for name in names]
                yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _parse(block: Block, bad: BadRows) -> Iterator[pa.RecordBatch]:
    """Parse rows; each block finds the types of its own columns."""
    rows = _count_rows(block[0])
    if rows is None or (table := _by_arrow(block[0], rows)) is None:
        yield from _by_python(block, bad)
    else:
        yield from table.to_batches(max_chunksize=BATCH_ROWS)


def _count_rows(data: bytes) -> int | None:
    """Count the rows; None if Arrow cannot be trusted with one of them."""
    rows = 0
    for line in data.split(b"\n"):
        line = line.strip()
        if line:
            rows += 1
            if not (line.startswith(b"{") and line.endswith(b"}")):
                return None
            if _is_too_deep(line):
                return None
    return rows


def _by_arrow(data: bytes, rows: int) -> pa.Table | None:
    """Parse rows with Arrow; None where it refuses one, takes two for one, or changes a number."""
    if not rows:
        return pa.table({})
    parse = partial(
        pa.json.read_json,
        read_options=pa.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
    )
    try:
        table = parse(pa.BufferReader(data))
        plain = pa.schema([field.with_type(_as_written(field.type)) for field in table.schema])
        if plain != table.schema:
            as_written = pa.json.ParseOptions(explicit_schema=plain)
            table = parse(pa.BufferReader(data), parse_options=as_written)
        table.validate(full=True)
        if table.num_rows == rows and all(
            _is_exact(column) for batch in table.to_batches() for column in batch.columns
        ):
            return table
    except (pa.ArrowException, ValueError):  # Those of a column's name are Python's.
        pass
    return None


def _by_python(block: Block, bad: BadRows) -> Iterator[pa.RecordBatch]:
    """Parse rows one by one; what is no row is recorded, and left out."""
    lines = block[0].split(b"\n")
    good = []
    for index, line in enumerate(lines):
        line = line.strip()
        if not line:
            continue
        try:
            if _is_too_deep(line):
                raise NoRow(TOO_DEEP, f"more than {DEEPEST} objects and lists are nested")
            good.append((index, load_row(line)))
        except NoRow as error:
            bad.add_line(block[1][index], error.reason, str(error))
    whole = b"\n".join(lines[index] for index, _ in good)
    table = _by_arrow(whole, len(good)) if len(good) < len(lines) else None
    if table is not None:
        yield from table.to_batches(max_chunksize=BATCH_ROWS)
        return
    for start in range(0, len(good), BATCH_ROWS):
        some = good[start : start + BATCH_ROWS]
        yield to_batch([row for _, row in some], [block[1][index] for index, _ in some])


def _is_exact(column: pa.Array) -> bool:
    """Tell whether no whole number lost digits as it became a float."""
    if pa.types.is_list(column.type):
        return _is_exact(column.flatten())
    if pa.types.is_struct(column.type):
        return all(map(_is_exact, column.flatten()))
    if not pa.types.is_floating(column.type):
        return True
    largest = pc.max(pc.abs(column)).as_py()
    return largest is None or largest < EXACT


def _is_wide(column: pa.Array) -> bool:
    """Tell whether a column holds whole numbers that a float would change."""
    if not pa.types.is_integer(column.type):
        return False
    found = pc.min_max(column).as_py()
    return max(-(found["min"] or 0), found["max"] or 0) >= EXACT


def _as_written(kind: pa.DataType) -> pa.DataType:
    """Return the type that keeps JSON as it is: Arrow takes some strings for points in time."""
    if pa.types.is_timestamp(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_as_written(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_as_written(field.type)) for field in kind])
    return kind


def _is_too_deep(line: bytes) -> bool:
    """Tell whether more objects and lists are nested in a line than Arrow can be trusted with."""
    if line.count(b"{") + line.count(b"[") <= DEEPEST:
        return False
    depth, quoted = 0, False
    for found in re.finditer(rb"\\.|[\"{}\[\]]", line, re.DOTALL):
        sign = found.group()
        if sign == b'"':
            quoted = not quoted
        elif not quoted:
            depth += (sign in b"{[") - (sign in b"}]")
            if depth > DEEPEST:
                return True
    return False
