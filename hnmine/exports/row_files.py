"""Write the rows of an export to a file, in the format that its ending names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.errors import InputError

SEPARATORS = {".tsv": "\t", ".txt": " "}
"""Between the fields of a line; TREC files use blanks."""


@dataclass(frozen=True)
class JsonObject:
    """The rows of a .json file that is one object.

    Attributes:
        values: of the object, before the rows.
        key: of the list of rows; without one, the object has its values alone.
        rows: JSON values.
    """

    values: Mapping[str, object]
    key: str | None = None
    rows: Iterable[object] = ()


def write_rows(path: Path, name: str, rows: Iterable[Any] | JsonObject) -> int:
    """Write rows and return how many.

    Args:
        path: where to write.
        name: final name of the file. Its ending names the format: .jsonl a JSON value a line, .json
            a list of them or a `JsonObject`, .tsv and .txt lines of fields, .parquet tables.
        rows: JSON values, sequences of fields, or tables, by the ending.

    Raises:
        InputError: a field contains the separator of fields or lines.
    """
    suffix = Path(name).suffix
    opening, between, closing = ("[\n", ",\n", "\n]\n") if suffix == ".json" else ("", "\n", "\n")
    if isinstance(rows, JsonObject):
        if rows.key is None:
            path.write_text(_json(rows.values) + "\n", encoding="utf-8")
            return 1
        opening, closing = f"{_json(rows.values)[:-1]}, {_json(rows.key)}: [\n", "\n]}\n"
        rows = rows.rows
    if suffix == ".parquet":
        return _write_tables(path, rows)
    lines = _lines(rows, name, SEPARATORS[suffix]) if suffix in SEPARATORS else map(_json, rows)
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(opening)
        for count, line in enumerate(lines, 1):
            file.write(between + line if count > 1 else line)
        file.write(closing if count or opening else "")
    return count


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def one_line(text: str) -> str:
    """Return a text with single blanks for all white space, as a TSV field needs."""
    return " ".join(text.split())


def _lines(rows: Iterable[Any], name: str, separator: str) -> Iterator[str]:
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
            if len(table):  # `load_dataset` cannot read a file whose first row group is empty.
                writer.write_table(table)
            rows += len(table)
    finally:
        if writer is not None:
            writer.close()
    return rows
