"""JSON files as record batches: Arrow parses them, Python what Arrow refuses or would change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from hnmine.inputs.formats.json_blocks import Block, json_blocks
from hnmine.inputs.formats.json_layout import find_layout
from hnmine.inputs.formats.json_values import EXACT, MIXED, TOO_DEEP, NoRow, load_row, to_batch
from hnmine.inputs.formats.table_format import BATCH_ROWS, Asked, BadLines, Columns
from hnmine.runner.incidents import note_once

JSON_BLOCK = 1 << 24
"""Bytes that are parsed at once."""

DEEPEST = 100
"""Nested objects and lists in a JSON line; at some thousands Arrow's parser overflows the stack."""


@dataclass(frozen=True)
class JsonLines:
    """Objects: one a line, in an array, or in the one list of an object.

    Attributes:
        encoding: of a file without a byte order mark.
    """

    encoding: str = "utf-8"

    def fit(self, path: Path, asked: Asked) -> JsonLines:
        """Return the reader that fits a file."""
        return replace(self, encoding=asked.encoding)

    def columns(self, path: Path) -> Columns:
        """Find the columns of a file, by reading all of it."""
        layout = find_layout(path, self.encoding)
        if layout.left_out:
            left_out = ", ".join(map(repr, layout.left_out[:5]))
            note_once(f"{path}: the rows are those of {layout.key!r}; {left_out} is left out.")
        rows = 0
        fields: dict[pa.Field, None] = {}
        bad = BadLines()
        mixed: set[str] = set()
        wide: set[str] = set()
        for block in json_blocks(path, layout, JSON_BLOCK, self.encoding):
            for batch in _parse(block, bad):
                rows += batch.num_rows
                fields |= dict.fromkeys(field.remove_metadata() for field in batch.schema)
                mixed |= {field.name for field in batch.schema if MIXED in (field.metadata or ())}
                wide |= {name for name in batch.schema.names if _is_wide(batch[name])}
        if bad.total and not rows:
            raise ValueError(bad.examples[0])
        # Whole numbers that a float would change, and floats, have only text in common.
        floats = {field.name for field in fields if pa.types.is_floating(field.type)}
        fields |= dict.fromkeys(pa.field(name, pa.string()) for name in floats & wide)
        return Columns(list(fields), rows + bad.total, bad, mixed)

    def batches(self, path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns; what a block of rows lacks is null there."""
        layout = find_layout(path, self.encoding)
        for block in json_blocks(path, layout, JSON_BLOCK, self.encoding):
            for batch in _parse(block, BadLines()):
                nothing = pa.nulls(batch.num_rows)
                fields = [_field(batch.schema, name) for name in names]
                there = batch.schema.names
                columns = [batch[name] if name in there else nothing for name in names]
                yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _field(schema: pa.Schema, name: str) -> pa.Field:
    return schema.field(name) if name in schema.names else pa.field(name, pa.null())


def _parse(block: Block, bad: BadLines) -> Iterator[pa.RecordBatch]:
    """Parse rows; each block finds the types of its own columns."""
    rows = _count_rows(block.data)
    if rows is None or (table := _by_arrow(block.data, rows)) is None:
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
            if line.count(b"{") + line.count(b"[") > DEEPEST and _depth(line) > DEEPEST:
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
        if table.num_rows == rows and all(map(_is_exact, table.columns)):
            return table
    except (pa.ArrowException, ValueError):  # Those of a column's name are Python's.
        pass
    return None


def _by_python(block: Block, bad: BadLines) -> Iterator[pa.RecordBatch]:
    """Parse rows one by one; what is no row is recorded, and left out."""
    lines = block.data.split(b"\n")
    good = []
    for index, line in enumerate(lines):
        line = line.strip()
        if not line:
            continue
        try:
            if line.count(b"{") + line.count(b"[") > DEEPEST and _depth(line) > DEEPEST:
                raise NoRow(TOO_DEEP, f"more than {DEEPEST} objects and lists are nested")
            good.append((index, load_row(line)))
        except NoRow as error:
            bad.add(block.line(index), error.reason, str(error))
    whole = b"\n".join(lines[index] for index, _ in good)
    table = _by_arrow(whole, len(good)) if len(good) < len(lines) else None
    if table is not None:
        yield from table.to_batches(max_chunksize=BATCH_ROWS)
        return
    for start in range(0, len(good), BATCH_ROWS):
        some = good[start : start + BATCH_ROWS]
        yield to_batch([row for _, row in some], [block.line(index) for index, _ in some])


def _is_exact(column: pa.ChunkedArray | pa.Array) -> bool:
    """Tell whether no whole number lost digits as it became a float."""
    kind = column.type
    if isinstance(column, pa.ChunkedArray):
        return all(map(_is_exact, column.chunks)) if _has_floats(kind) else True
    if pa.types.is_list(kind):
        return _is_exact(column.flatten())
    if pa.types.is_struct(kind):
        return all(map(_is_exact, column.flatten()))
    if not pa.types.is_floating(kind):
        return True
    largest = pc.max(pc.abs(column)).as_py()
    return largest is None or largest < EXACT


def _is_wide(column: pa.Array) -> bool:
    """Tell whether a column holds whole numbers that a float would change."""
    if not pa.types.is_integer(column.type):
        return False
    found = pc.min_max(column).as_py()
    return max(-(found["min"] or 0), found["max"] or 0) >= EXACT


def _has_floats(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _has_floats(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_has_floats(field.type) for field in kind)
    return pa.types.is_floating(kind)


def _as_written(kind: pa.DataType) -> pa.DataType:
    """Return the type that keeps JSON as it is: Arrow takes some strings for points in time."""
    if pa.types.is_timestamp(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_as_written(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_as_written(field.type)) for field in kind])
    return kind


def _depth(line: bytes) -> int:
    """Return how deeply objects and lists are nested in a line of JSON."""
    deepest = depth = 0
    quoted = False
    for found in re.finditer(rb"\\.|[\"{}\[\]]", line, re.DOTALL):
        sign = found.group()
        if sign == b'"':
            quoted = not quoted
        elif not quoted and sign in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif not quoted and sign in b"}]":
            depth -= 1
    return deepest
