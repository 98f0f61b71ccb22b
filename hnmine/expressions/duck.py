"""The DuckDB that parses and evaluates expressions, within limits, and what it knows of functions.

DuckDB answers an interrupt only between chunks of rows, and its own memory limit does not count
long texts and lists. So every statement runs in a thread, which the caller stops waiting for, and
while it runs the operating system limits the memory of the process.
"""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from hnmine.runner import interrupts

T = TypeVar("T")

LEAST_MEMORY = 2 * 10**9
LEAST_SECONDS = 60.0
"""What every statement may take; more for many rows."""

ROOM = 64 * 10**6
"""Bytes that a statement may take in any case, after one that has taken all."""

PATIENCE = 5.0
"""Seconds that an interrupted statement has to end."""

OF_ROWS = "function_type in ('scalar', 'aggregate', 'macro', 'window')"
"""What may stand in an expression; other functions read tables and files."""

MORE_ROWS = ("unnest", "unlist")
"""Functions that the parser knows, and that make several rows of one."""

_limiting = threading.Lock()
_counted_from: ContextVar[int] = ContextVar("counted_from", default=0)


class LimitExceededError(Exception):
    """A statement takes more memory or time than it may; the message is the limit."""


@cache
def functions(condition: str) -> frozenset[str]:
    """Return the names of the DuckDB functions that answer to a condition."""
    found = ask(f"select function_name from duckdb_functions() where {condition}")
    return frozenset(name for (name,) in found)


@cache
def varies(name: str, arguments: int) -> bool:
    """Tell whether a function of so many arguments can only give another value each time.

    Of one name and as many arguments, some may vary and others not: `-` does for points in time
    with a zone, from DuckDB 2.0 on.
    """
    found = ask(
        "select stability = 'CONSISTENT' from duckdb_functions() "
        "where function_name = ? and stability is not null "  # A macro has none.
        f"and (len(parameters) = {arguments} or varargs is not null)",
        name,
    )
    return bool(found) and not any(consistent for (consistent,) in found)


@cache
def definitions(name: str) -> tuple[tuple[list[str], str], ...]:
    """Return the parameters and the expression of each definition of a macro."""
    found = ask(
        "select parameters, macro_definition from duckdb_functions() "
        "where function_name = ? and function_type = 'macro'",
        name,
    )
    return tuple((parameters, text) for parameters, text in found)


def one(sql: str, value: str) -> Any:
    """Return the only value that a statement about a value gives."""
    ((found,),) = ask(sql, value)
    return found


def ask(sql: str, *values: str) -> list[tuple[Any, ...]]:
    """Return the rows that a statement about some values gives."""
    return _bounded(
        lambda cursor: cursor.execute(sql, values).fetchall(), LEAST_MEMORY, LEAST_SECONDS
    )


def select(sql: str, tables: Mapping[str, pa.Table], memory: float, seconds: float) -> pa.Table:
    """Return what a statement about some tables gives.

    Args:
        sql: the statement.
        tables: by the name that the statement gives them.
        memory: the bytes that it may take besides `LEAST_MEMORY`.
        seconds: the time that it may take besides `LEAST_SECONDS`.

    Raises:
        LimitExceededError: it takes more.
        duckdb.Error: it is wrong.
    """

    def work(cursor: duckdb.DuckDBPyConnection) -> pa.Table:
        for name, table in tables.items():
            cursor.register(name, table)
        return cursor.sql(sql).to_arrow_table()

    return _bounded(work, LEAST_MEMORY + int(memory), LEAST_SECONDS + seconds)


def _bounded(work: Callable[[duckdb.DuckDBPyConnection], T], memory: int, seconds: float) -> T:
    cursor = connection().cursor()
    found: list[T] = []
    failed: list[BaseException] = []

    begin, limited = threading.Event(), threading.Event()

    def run() -> None:
        begin.wait()
        try:
            if limited.is_set():
                found.append(work(cursor))
        except BaseException as error:
            failed.append(error)
        finally:
            cursor.close()

    thread = threading.Thread(target=run, name="duckdb")
    try:
        thread.start()  # Within the limit, there may be no room for its stack.
        with _memory_limited(memory):
            limited.set()
            begin.set()
            try:
                thread.join(seconds)
            finally:
                if thread.is_alive():
                    with suppress(duckdb.Error):  # It may just have ended.
                        cursor.interrupt()
                    thread.join(PATIENCE)
                    interrupts.leave_behind(thread)
    finally:
        begin.set()  # Ctrl-C may end the start or the wait for the limit: the thread must end too.
    if found:
        return found[0]
    if not failed or isinstance(failed[0], duckdb.InterruptException):
        raise LimitExceededError(f"{seconds:,.0f} seconds")
    if isinstance(failed[0], (duckdb.OutOfMemoryException, MemoryError)):
        raise LimitExceededError(f"{memory / 10**9:.1f} GB of memory") from failed[0]
    if isinstance(failed[0], (duckdb.InternalException, duckdb.FatalException)):
        connection.cache_clear()  # It takes no more statements.
    raise failed[0]


@contextmanager
def _memory_limited(more: int) -> Iterator[None]:
    """Let the process take so many bytes more than now; where that can be known, on Linux."""
    with _limiting:  # The limit is one for all threads.
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        now = _data_bytes()
        # What a failed statement held counts on, and the next one must have some room beside it.
        most = max((_counted_from.get() or now) + more, now + ROOM)
        limited = now > 0 and (soft == resource.RLIM_INFINITY or most < soft)
        if limited:
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
        try:
            yield
        finally:
            if limited:
                resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def counting() -> Iterator[None]:
    """Count the memory of all statements within from now on: a failed one gives little back."""
    before = _counted_from.set(_counted_from.get() or _data_bytes())
    try:
        yield
    finally:
        _counted_from.reset(before)


def _data_bytes() -> int:
    """Return the bytes that the process has of what RLIMIT_DATA limits; 0 where it is unknown."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[5]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """Return the database in memory, of one thread, without access to files or extensions."""
    opened = duckdb.connect(
        config={
            "threads": 1,
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        }
    )
    opened.execute("set TimeZone = 'UTC'")  # Else a value depends on the machine.
    opened.execute("set lock_configuration = true")
    return opened
