"""Write the rows of an export to a file: what a row is, and how it is written, its ending says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.errors import InputError

SEPARATORS = {".tsv": "\t", ".txt": " "}
"""Of files of fields; those with blanks between are TREC's."""


def write_rows(path: Path, name: str, rows: Iterable[Any]) -> int:
    """Write rows and return how many.

    Args:
        path: where to write.
        name: of the file in the end: .jsonl holds a JSON value a line, .json a list of them, .tsv
            and .txt sequences of fields, .parquet tables.
        rows: what its ending says.

    Raises:
        InputError: a field holds what would be read as the end of it.
    """
    suffix = Path(name).suffix
    if suffix == ".parquet":
        return _write_tables(path, rows)
    if suffix in SEPARATORS:
        lines = _lines(rows, name, SEPARATORS[suffix])
    else:
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    opening, between, closing = ("[\n", ",\n", "\n]\n") if suffix == ".json" else ("", "\n", "\n")
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(opening)
        for count, line in enumerate(lines, 1):
            file.write(between + line if count > 1 else line)
        file.write(closing if count or opening else "")
    return count


def one_line(text: str) -> str:
    """Return a text with single blanks for all white space: a field of a TSV file holds no more."""
    return " ".join(text.split())


def _lines(rows: Iterable[Iterable[Any]], name: str, separator: str) -> Iterator[str]:
    for row in rows:
        fields = [str(field) for field in row]
        for field in fields:
            blank = field.split() != [field] if separator == " " else set(field) & set("\t\r\n")
            if blank or not field:
                raise InputError(
                    f"{name} cannot hold the id {field!r}.",
                    why="White space in it would be read as the end of the field.",
                    fix="Export to a format with JSON, or change the ids of the input.",
                )
        yield separator.join(fields)


def _write_tables(path: Path, tables: Iterable[pa.Table]) -> int:
    rows, writer = 0, None
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            rows += len(table)
    finally:
        if writer is not None:
            writer.close()
    return rows
