"""The DuckDB that parses and evaluates expressions, and what it says of its functions."""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb


@cache
def functions(condition: str) -> frozenset[str]:
    """Return the names of the DuckDB functions that answer to a condition."""
    found = _ask(f"select function_name from duckdb_functions() where {condition}")
    return frozenset(name for (name,) in found)


@cache
def varies(name: str, arguments: int) -> bool:
    """Tell whether a function of so many arguments can only give another value each time.

    Of one name and as many arguments, some may vary and others not: `-` does for points in time
    with a zone, from DuckDB 2.0 on.
    """
    found = _ask(
        "select stability = 'CONSISTENT' from duckdb_functions() "
        "where function_name = ? and stability is not null "  # A macro has none.
        f"and (len(parameters) = {arguments} or varargs is not null)",
        name,
    )
    return bool(found) and not any(consistent for (consistent,) in found)


def one(sql: str, value: str) -> Any:
    """Return the only value that a statement about a value gives."""
    ((found,),) = _ask(sql, value)
    return found


def _ask(sql: str, *values: str) -> list[tuple[Any, ...]]:
    return connection().cursor().execute(sql, values).fetchall()


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """Return the database in memory, of one thread and without access to files."""
    return duckdb.connect(config={"threads": 1, "enable_external_access": "false"})
