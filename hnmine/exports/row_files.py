"""Write the rows of an export to a file, in the format that its ending names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.errors import InputError

SEPARATORS = {".tsv": "\t", ".txt": " "}
"""Between the fields of a line; TREC files use blanks."""


def write_rows(path: Path, name: str, rows: Iterable[Any]) -> int:
    """Write rows and return how many.

    Args:
        path: where to write.
        name: final name of the file. Its ending names the format: .jsonl a JSON value a line, .json
            a list of them, .tsv and .txt lines of fields, .parquet tables.
        rows: JSON values, sequences of fields, or tables, by the ending.

    Raises:
        InputError: a field contains the separator of fields or lines.
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
    """Return a text with single blanks for all white space, as a TSV field needs."""
    return " ".join(text.split())


def _lines(rows: Iterable[Iterable[object]], name: str, separator: str) -> Iterator[str]:
    for row in rows:
        fields = [str(field) for field in row]
        for field in fields:
            blank = field.split() != [field] if separator == " " else set(field) & set("\t\r\n")
            if blank or not field:
                raise InputError(
                    f"{name} cannot hold the id {field!r}.",
                    why="A reader would take its white space for the end of the field.",
                    fix="Export to a JSON format, or change the ids of the input.",
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
