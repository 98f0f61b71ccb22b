"""JSON files of one object a line, as record batches: each line checked before Arrow parses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.json

from hnmine.data.formats.base import BATCH_ROWS, Asked, Columns
from hnmine.data.formats.text import line_blocks

JSON_BLOCK = 1 << 24

DEEPEST = 100
"""Nested objects and lists in a JSON line; at some thousands Arrow's parser overflows the stack."""


@dataclass(frozen=True)
class JsonLines:
    """One JSON object a line.

    Attributes:
        encoding: of a file without a byte order mark.
    """

    encoding: str = "utf-8"

    def fit(self, path: Path, asked: Asked) -> JsonLines:
        """Return the reader that fits a file."""
        return replace(self, encoding=asked.encoding)

    def columns(self, path: Path) -> Columns:
        """Find the columns of a file, by reading all of it."""
        rows = 0
        fields: dict[pa.Field, None] = {}
        for batch in _batches(path, self.encoding):
            rows += batch.num_rows
            fields |= dict.fromkeys(batch.schema)
        return Columns(list(fields), rows)

    def batches(self, path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns; what a block of lines lacks is null there."""
        for batch in _batches(path, self.encoding):
            there = batch.schema.names
            columns = [batch[name] if name in there else pa.nulls(batch.num_rows) for name in names]
            yield pa.RecordBatch.from_arrays(columns, names=names)


def _batches(path: Path, encoding: str) -> Iterator[pa.RecordBatch]:
    """Parse a file of one JSON object a line; each block finds the types of its own columns."""
    for block in _json_blocks(path, encoding):
        parse = partial(
            pa.json.read_json,
            read_options=pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
        )
        table = parse(pa.BufferReader(block))
        plain = pa.schema([field.with_type(_as_written(field.type)) for field in table.schema])
        if plain != table.schema:
            as_written = pa.json.ParseOptions(explicit_schema=plain)
            table = parse(pa.BufferReader(block), parse_options=as_written)
        yield from table.to_batches(max_chunksize=BATCH_ROWS)


def _as_written(kind: pa.DataType) -> pa.DataType:
    """Return the type that keeps JSON as it is: Arrow takes some strings for points in time."""
    if pa.types.is_timestamp(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_as_written(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_as_written(field.type)) for field in kind])
    return kind


def _json_blocks(path: Path, encoding: str) -> Iterator[bytes]:
    """Yield whole lines, about `JSON_BLOCK` bytes at once, checked to be one object each."""
    for number, block in line_blocks(path, encoding, JSON_BLOCK):
        yield from _checked(block, number)


def _checked(block: bytes, first: int) -> Iterator[bytes]:
    for number, line in enumerate(block.split(b"\n"), first):
        line = line.strip()
        if line and not (line.startswith(b"{") and line.endswith(b"}")):
            raise ValueError(f"Line {number}: it is not one whole JSON object.")
        if line.count(b"{") + line.count(b"[") > DEEPEST and _depth(line) > DEEPEST:
            raise ValueError(f"Line {number}: more than {DEEPEST} objects and lists are nested.")
    if block and not block.isspace():
        yield block


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
