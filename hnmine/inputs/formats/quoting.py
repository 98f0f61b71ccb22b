"""Whether the quotes of a TSV file quote values or belong to them: proved by all of its lines."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.errors import InputError
from hnmine.inputs.formats.table_format import LONGEST_VALUE

QUOTE, NEWLINE, RETURN = b'"\n\r'

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

    Args:
        path: to name in errors.
        blocks: reads the file: whole lines in UTF-8, and the number of the first.
        delimiter: between values.

    Raises:
        InputError: both readings hold, and one has fewer rows.
    """
    start = next(blocks())[1]
    first = next(line for line in start.split(b"\n") if line.strip())
    if _all_quoted(first, start, delimiter):
        return Quoting(True, all_quoted=True)
    if not any(len(_Lines(block, delimiter).leading) for _, block in blocks()):
        return Quoting(False)
    values = first.count(delimiter.encode()) + 1
    bare, lines = False, 0
    for _, block in blocks():
        found = _Lines(block, delimiter)
        if found.misfits(values):
            return Quoting(True)
        bare = bare or found.has_bare_quotes()
        lines += found.count
    return _both_hold(path, blocks, delimiter, values, lines, bare)


def refuse_swallowed(path: Path, first: int, row: list[str], delimiter: str) -> None:
    """Refuse a row over several lines if more than one of them may be a row of its own.

    Raises:
        InputError: names the lines.
    """
    lines = delimiter.join(row).split("\n")
    if sum(line.count(delimiter) >= len(row) - 1 for line in lines) > 1:
        raise _ambiguous(path, first, len(lines))


def needs_quotes(quoted: str) -> bool:
    """Tell whether a quoted value on one line would be another one without its quotes."""
    return quoted == '""' or '""' in quoted[1:-1] or "\r" in quoted


def _both_hold(
    path: Path, blocks: Blocks, delimiter: str, values: int, lines: int, bare: bool
) -> Quoting:
    """Decide where each line has the right number of values if quotes are text."""
    csv.field_size_limit(LONGEST_VALUE)
    feed = _Feed(blocks(), delimiter)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    seen = _Seen(bare)
    try:
        while feed.skip_to_quoted() and (row := next(reader, None)) is not None:
            if len(row) != values:
                return Quoting(False)
            if len(feed.record) > 1:
                raise _ambiguous(path, feed.first, len(feed.record))
            seen.add(feed.record[0].rstrip("\r\n").split(delimiter), feed.first)
    except csv.Error:
        return Quoting(False)
    if lines > 1 and all(count == lines for count in seen.columns.values()):
        return Quoting(True)
    if not (seen.needless or seen.bare):
        return Quoting(
            True, f"{path}: quotes are read as in CSV; --quoting none keeps them in the values."
        )
    return Quoting(
        False,
        f"{path}: quotes are kept in the values, such as on line {seen.needless or seen.last}; "
        "--quoting csv takes them off.",
    )


@dataclass
class _Seen:
    """What the quotes of a file are like where each value is whole on one line.

    Attributes:
        bare: a value has quotes, but does not begin with one.
        needless: the first line with a value that would be the same without its quotes.
        last: the last line with a quoted value.
        columns: quoted values of each column.
    """

    bare: bool
    needless: int = 0
    last: int = 0
    columns: Counter[int] = field(default_factory=Counter)

    def add(self, values: list[str], line: int) -> None:
        """Look at the values of a line, split without quoting."""
        self.last = line
        for place, value in enumerate(values):
            if value.startswith('"'):
                self.columns[place] += 1
                if not (needs_quotes(value) or self.needless):
                    self.needless = line
            elif '"' in value:
                self.bare = True


def _ambiguous(path: Path, line: int, lines: int) -> InputError:
    return InputError(
        f"Cannot tell whether the quotes in {path} quote values.",
        why=f"Lines {line} to {line + lines - 1} are {lines} rows if quotes are text, and one row "
        "if they quote a value.",
        fix="Pass --quoting none if quotes are text, or --quoting csv if they quote values.",
    )


def _all_quoted(first: bytes, start: bytes, delimiter: str) -> bool:
    """Tell whether the first line quotes all of several values, and all rows quote some."""
    cells = first.rstrip(b"\r").split(delimiter.encode())
    if len(cells) < 2 or not all(re.fullmatch(rb'"[^"]+"', cell) for cell in cells):
        return False
    lines = io.StringIO(start.decode(), newline="")
    rows = 0
    with suppress(csv.Error):
        for row in csv.reader(lines, delimiter=delimiter, strict=True):
            rows += bool(row)
    return len(_Lines(start, delimiter).leading) >= rows + len(cells) - 1


class _Lines:
    """Where the lines, values and quotes of a block are.

    Attributes:
        leading: positions of the quotes that begin a value.
    """

    def __init__(self, block: bytes, delimiter: str) -> None:
        self.bytes = np.frombuffer(block, np.uint8)
        self.mark = ord(delimiter)
        self.quotes = np.flatnonzero(self.bytes == QUOTE) if QUOTE in block else _NONE
        before = self.bytes[self.quotes - 1]
        self.leading = self.quotes[(before == self.mark) | (before == NEWLINE) | (self.quotes == 0)]
        self._ends: NDArray[np.int64] | None = None

    @property
    def ends(self) -> NDArray[np.int64]:
        """The positions of the ends of lines."""
        if self._ends is None:
            self._ends = np.flatnonzero(self.bytes == NEWLINE)
            if self.bytes[-1] != NEWLINE:
                self._ends = np.append(self._ends, len(self.bytes))
        return self._ends

    @property
    def count(self) -> int:
        """The number of lines that are not empty."""
        return int(self._filled().sum())

    def misfits(self, values: int) -> bool:
        """Tell whether a line has another number of values."""
        before = np.searchsorted(np.flatnonzero(self.bytes == self.mark), self.ends)
        found = np.diff(before, prepend=0)
        return bool((self._filled() & (found != values - 1)).any())

    def has_bare_quotes(self) -> bool:
        """Tell whether a line has quotes, but none that begins a value."""
        quotes, leading = (
            np.unique(np.searchsorted(self.ends, found)) for found in (self.quotes, self.leading)
        )
        return len(quotes) > len(leading)

    def _filled(self) -> NDArray[np.bool_]:
        starts = np.concatenate([[0], self.ends[:-1] + 1])
        length = self.ends - starts
        return (length > 1) | (
            (length == 1) & (self.bytes[starts.clip(max=len(self.bytes) - 1)] != RETURN)
        )


_NONE = np.empty(0, np.int64)


@dataclass
class _Feed:
    """Feeds a CSV reader those lines that a quoted value begins on, and those it runs on over.

    Attributes:
        record: the lines since the last skip.
        first: the number of the first of them.
    """

    blocks: Iterator[tuple[int, bytes]]
    delimiter: str
    record: list[str] = field(default_factory=list)
    first: int = 0
    _block: bytes = b""
    _number: int = 1
    _place: int = 0
    _leading: NDArray[np.int64] = field(default_factory=lambda: _NONE)

    def skip_to_quoted(self) -> bool:
        """Go to the next line on which a value begins with a quote; False if there is none."""
        while True:
            after = np.searchsorted(self._leading, self._place)
            if after < len(self._leading):
                start = self._block.rfind(b"\n", self._place, self._leading[after]) + 1
                start = max(start, self._place)
                self._number += self._block.count(b"\n", self._place, start)
                self._place = start
                self.record, self.first = [], self._number
                return True
            if not self._next_block():
                return False

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self._place >= len(self._block) and not self._next_block():
            raise StopIteration
        end = self._block.find(b"\n", self._place) + 1 or len(self._block)
        line = self._block[self._place : end].decode()
        self._place, self._number = end, self._number + 1
        self.record.append(line)
        return line

    def _next_block(self) -> bool:
        self._number, self._block = next(self.blocks, (self._number, b""))
        self._place = 0
        self._leading = _Lines(self._block, self.delimiter).leading
        return bool(self._block)
