"""The rows of a JSON file, some megabytes at once, each on a line of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hnmine.inputs.formats.json_layout import TOKEN, Layout
from hnmine.inputs.formats.table_format import LONGEST_VALUE
from hnmine.inputs.formats.text import open_utf8

NEWLINE = b"\n"
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


@dataclass(frozen=True)
class Block:
    """Whole rows.

    Attributes:
        data: a row on each line; blank lines may be between.
        first: the file's line on which `source` begins.
        source: what the rows were cut from, unless they are lines of the file.
        starts: of each row in it.
    """

    data: bytes
    first: int
    source: bytes = b""
    starts: tuple[int, ...] = ()

    def line(self, index: int) -> int:
        """Return the file's line on which a line of `data` begins."""
        if not self.starts:
            return self.first + index
        return self.first + self.source.count(NEWLINE, 0, self.starts[index])


def json_blocks(path: Path, layout: Layout, size: int, encoding: str = "utf-8") -> Iterator[Block]:
    """Yield the rows of a file, about `size` bytes at once.

    Raises:
        ValueError: the file is cut, or something else stands between its rows.
    """
    with open_utf8(path, encoding) as stream:
        left = layout.offset
        while left:
            left -= len(stream.read(min(left, size))) or left
        yield from (_lines(stream, size) if layout.lines else _Objects(layout, size).blocks(stream))


def _lines(stream: BinaryIO, size: int) -> Iterator[Block]:
    number = 1
    rest = bytearray(stream.read(size))
    while read := stream.read(size):
        end = rest.rfind(NEWLINE) + 1
        if len(rest) - end > LONGEST_VALUE:
            raise ValueError(f"Line {number}: it is longer than {LONGEST_VALUE:,} bytes.")
        block = bytes(rest[:end])
        del rest[:end]
        if block:
            yield Block(block, number)
            number += block.count(NEWLINE)
        rest += read
    yield Block(bytes(rest), number)


class _Objects:
    """Cuts the rows that follow each other, in a list or not, out of a file."""

    def __init__(self, layout: Layout, size: int) -> None:
        self._layout, self._size = layout, size
        self._line = layout.line
        self._buffer = b""
        self._at = self._start = self._end = self._depth = 0
        self._any = self._closed = False

    def blocks(self, stream: BinaryIO) -> Iterator[Block]:
        """Yield the rows.

        Raises:
            ValueError: the list does not end, or something else stands between the rows.
        """
        more = True
        while more and not self._closed:
            read = stream.read(self._size)
            more = bool(read)
            self._buffer += read
            if len(self._buffer) > LONGEST_VALUE:
                raise self._wrong(0, f"a row is longer than {LONGEST_VALUE:,} bytes")
            if spans := self._scan(more):
                plain = self._buffer.translate(_ONE_LINE)
                rows = b"\n".join([plain[start:end] for start, end in spans])
                starts = tuple(start for start, _ in spans)
                yield Block(rows, self._line, self._buffer, starts)
            self._forget()
        if self._closed and not self._layout.key:
            self._check_rest(stream)
        elif self._depth or self._layout.listed != self._closed:
            raise self._wrong(len(self._buffer), "the file ends too early")
        elif not self._closed:
            self._check_between(len(self._buffer), b"")

    def _scan(self, more: bool) -> list[tuple[int, int]]:
        """Find rows that are whole: where they start and end."""
        spans = []
        for found in TOKEN.finditer(self._buffer, self._at):
            start, end = found.span()
            sign = self._buffer[start : start + 1]
            if sign == b'"' and end - start == 1:
                if not more or b"\n" in self._buffer[start:]:
                    raise self._wrong(start, "a string does not end")
                break
            self._at = end
            if not self._depth:
                if sign in b"}]":
                    self._close(start)
                    break
                self._check_between(start, b"," if self._any and self._layout.listed else b"")
                self._start, self._any = start, True
            self._depth += (sign in b"{[") - (sign in b"}]")
            if not self._depth:
                spans.append((self._start, end))
                self._end = end
        return spans

    def _close(self, start: int) -> None:
        self._check_between(start, b"")
        if not self._layout.listed or self._buffer[start : start + 1] != b"]":
            raise self._wrong(start, "a bracket closes what was not opened")
        self._closed = True

    def _forget(self) -> None:
        """Drop the rows that were yielded."""
        done = self._at if self._closed else self._end
        self._line += self._buffer.count(NEWLINE, 0, done)
        self._buffer = self._buffer[done:]
        self._at, self._start, self._end = self._at - done, self._start - done, 0

    def _check_between(self, start: int, expected: bytes) -> None:
        found = self._buffer[self._end : start].strip()
        if found != expected:
            shown = found[:40].decode("utf-8", "replace")
            raise self._wrong(start, f"{shown!r} stands where a row should begin or end")

    def _check_rest(self, stream: BinaryIO) -> None:
        rest = self._buffer
        while rest:
            if rest.strip():
                raise self._wrong(0, "more follows the list")
            rest = stream.read(self._size)

    def _wrong(self, at: int, what: str) -> ValueError:
        return ValueError(f"Line {self._line + self._buffer.count(NEWLINE, 0, at)}: {what}.")
