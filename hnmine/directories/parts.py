"""Read parts of tables, and check their columns: someone else may have sent the directory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.errors import damage_explained
from hnmine.schema import CANDIDATES, ESTIMATES, VERDICTS

KNOWN = pa.schema(
    {field.name: field for kind in (CANDIDATES, ESTIMATES, VERDICTS) for field in kind}.values()
)


def read_part(
    path: Path,
    columns: Sequence[str] | None = None,
    needed: Iterable[str] = (),
    known: pa.Schema = KNOWN,
) -> pa.Table:
    """Read a part of the candidates, scored or not.

    Args:
        path: a Parquet file.
        columns: to read; by default all.
        needed: columns that must be there when all are read.
        known: types of columns; a column that is not among them may have any.

    Raises:
        InputError: the file is damaged, lacks a column, or has one of another type.
    """
    with damage_explained(path):
        table = pq.read_table(path, columns=columns)
        check_types(table.schema, columns or needed, known)
        table.validate(full=True)
        for field in known:
            there = field.name in table.column_names and not field.nullable
            if there and table[field.name].null_count:
                raise ValueError(f"Its column {field.name!r} holds nulls.")
        return table


def read_columns(path: Path, needed: Iterable[str], also: Collection[str] = ()) -> pa.Table:
    """Read some columns of a part, in their order there.

    Args:
        path: a Parquet file.
        needed: columns that must be there.
        also: columns to read if they are there.

    Raises:
        InputError: see `read_part`.
    """
    needed = list(needed)
    with damage_explained(path):
        found = pq.read_schema(path)
        check_types(found, needed)
    return read_part(path, [name for name in found.names if name in needed or name in also])


def rows_of(path: Path) -> int:
    """Return the number of rows of a Parquet file.

    Raises:
        InputError: the file is damaged.
    """
    with damage_explained(path):
        rows: int = pq.read_metadata(path).num_rows
        return rows


def check_types(found: pa.Schema, needed: Iterable[str], known: pa.Schema = KNOWN) -> None:
    """Check that columns are there once, and that known ones have their types.

    Raises:
        ValueError: names the first column that is wrong.
    """
    for name in needed:
        if name not in found.names:
            raise ValueError(f"It has no column {name!r}.")
    for field in found:
        if found.names.count(field.name) > 1:
            raise ValueError(f"It has several columns {field.name!r}.")
        wanted = known.field(field.name).type if field.name in known.names else field.type
        if field.type != wanted:
            raise ValueError(f"Its column {field.name!r} is {field.type}, not {wanted}.")
