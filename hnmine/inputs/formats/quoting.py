"""Whether the quotes of a TSV file quote values or belong to them: proved by all of its lines."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from hnmine.errors import InputError
from hnmine.inputs.formats.reader import LONGEST_VALUE

Blocks = Callable[[], Iterator[tuple[int, bytes]]]


@dataclass(frozen=True)
class Quoting:
    """What was found.

    Attributes:
        quoted: quotes quote values, as in CSV.
        said: what the user should know of the choice; empty if it is proved.
        all_quoted: all values are quoted, so that a row that runs on over lines is one.
    """

    quoted: bool
    said: str = ""
    all_quoted: bool = False


def prove(path: Path, blocks: Blocks, delimiter: str) -> Quoting:
    """Tell how to read a file of values between delimiters, so that no row is lost.

    A line that has too many or too few values proves quoting; a malformed quoted value proves that
    there is none. Where both readings hold, quotes count if each quoted value needs them.

    Raises:
        InputError: both readings hold, and one has fewer rows.
    """
    start = next(blocks())[1]
    first = next(line for line in start.split(b"\n") if line.strip())
    mark = delimiter.encode()
    if _all_quoted(first, start, mark):
        return Quoting(True, all_quoted=True)
    if not any(_opened(block, mark) for _, block in blocks()):
        return Quoting(False)
    values = first.count(mark) + 1
    bare, lines = False, 0
    for _, block in blocks():
        for line in block.split(b"\n"):
            if line in (b"", b"\r"):
                continue
            if line.count(mark) != values - 1:
                return Quoting(True)
            bare = bare or (b'"' in line and not _opened(line, mark))
            lines += 1
    return _both_hold(path, blocks, delimiter, values, lines, bare)


def refuse_swallowed(path: Path, first: int, row: list[str], delimiter: str) -> None:
    """Refuse a row over several lines if more than one of them may be a row of its own."""
    lines = delimiter.join(row).split("\n")
    if sum(line.count(delimiter) >= len(row) - 1 for line in lines) > 1:
        raise _ambiguous(path, first, len(lines))


def _both_hold(
    path: Path, blocks: Blocks, delimiter: str, values: int, lines: int, bare: bool
) -> Quoting:
    """Decide where each line has the right number of values if quotes are text."""
    needless = last = 0
    quoted_in_column: Counter[int] = Counter()
    try:
        for last, row, record in _records(blocks(), delimiter):
            if len(row) != values:
                return Quoting(False)
            if len(record) > 1:
                raise _ambiguous(path, last, len(record))
            for place, value in enumerate(record[0].rstrip("\r\n").split(delimiter)):
                if value.startswith('"'):
                    quoted_in_column[place] += 1
                    needless = needless or last * (not _needs_quotes(value))
                elif '"' in value:
                    bare = True
    except csv.Error:
        return Quoting(False)
    if lines > 1 and all(count == lines for count in quoted_in_column.values()):
        return Quoting(True)
    if not (needless or bare):
        return Quoting(
            True, f"{path}: quotes are read as in CSV; --quoting none keeps them in the values."
        )
    return Quoting(
        False,
        f"{path}: quotes are kept in the values, such as on line {needless or last}; "
        "--quoting csv takes them off.",
    )


def _records(
    blocks: Iterator[tuple[int, bytes]], delimiter: str
) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield the first line's number, the row and the lines of each row with a quoted value."""
    csv.field_size_limit(LONGEST_VALUE)
    lines = (
        numbered
        for first, block in blocks
        for numbered in enumerate(io.StringIO(block.decode(), newline="\n"), first)
    )
    for number, line in lines:
        if _opened(line.encode(), delimiter.encode()):
            record: list[str] = []
            feed = _kept(chain([line], (line for _, line in lines)), record)
            yield number, next(csv.reader(feed, delimiter=delimiter, strict=True)), record


def _kept(lines: Iterator[str], record: list[str]) -> Iterator[str]:
    """Pass lines on, and keep those that were taken."""
    for line in lines:
        record.append(line)
        yield line


def _needs_quotes(quoted: str) -> bool:
    """Tell whether a quoted value on one line would be another one without its quotes."""
    return quoted == '""' or '""' in quoted[1:-1] or "\r" in quoted


def _ambiguous(path: Path, line: int, lines: int) -> InputError:
    return InputError(
        f"Cannot tell whether the quotes in {path} quote values.",
        why=f"Lines {line} to {line + lines - 1} are {lines} rows if quotes are text, and one row "
        "if they quote a value.",
        fix="Pass --quoting none if quotes are text, or --quoting csv if they quote values.",
    )


def _opened(lines: bytes, mark: bytes) -> int:
    """Count the values that begin with a quote."""
    return lines.startswith(b'"') + lines.count(mark + b'"') + lines.count(b'\n"')


def _all_quoted(first: bytes, start: bytes, mark: bytes) -> bool:
    """Tell whether the first line quotes all of several values, and all rows quote some."""
    cells = first.rstrip(b"\r").split(mark)
    if len(cells) < 2 or not all(re.fullmatch(rb'"[^"]+"', cell) for cell in cells):
        return False
    lines = io.StringIO(start.decode(), newline="")
    rows = 0
    with suppress(csv.Error):
        for row in csv.reader(lines, delimiter=mark.decode(), strict=True):
            rows += bool(row)
    return _opened(start, mark) >= rows + len(cells) - 1
