"""Parts of tables out of a directory that somebody may have sent: read, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.errors import InputError, damage_explained
from hnmine.schema import CANDIDATES, ESTIMATES, VERDICTS

KNOWN = pa.schema(
    {field.name: field for kind in (CANDIDATES, ESTIMATES, VERDICTS) for field in kind}.values()
)


def scored_parts(path: Path) -> list[Path]:
    """List the files of a mined directory's scored/, in order.

    Raises:
        InputError: there is none.
    """
    parts = sorted((path / "scored").glob("*.parquet"))
    if not parts:
        raise InputError(
            f"{path} is damaged.",
            why="It has no file in scored/.",
            fix="Run the same `hnmine filter` again: it makes anew what is missing.",
        )
    return parts


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
        needed: that must be there when all are read.
        known: what columns must be, where they are there.

    Raises:
        InputError: it is damaged, lacks a column, or has one of another type.
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


def check_types(found: pa.Schema, needed: Iterable[str], known: pa.Schema = KNOWN) -> None:
    """Check that columns are there once, and that known ones have their types.

    Raises:
        ValueError: they have not.
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
