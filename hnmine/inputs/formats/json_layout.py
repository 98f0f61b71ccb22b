"""How the rows lie in a JSON file: one a line, in an array, or in the one list of an object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hnmine.inputs.formats.stream import ending
from hnmine.inputs.formats.table_format import LONGEST_VALUE
from hnmine.inputs.formats.text import open_utf8

HEAD = 1 << 20
"""Bytes at the start of a file that tell how its rows lie."""

READ = 1 << 22

TOKEN = re.compile(rb'"[^"\\\n\r]*(?:\\[^\n\r][^"\\\n\r]*)*"|[{}\[\]"]')
"""A string, a bracket, or the quote of a string that does not end before its line does."""

BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")

MOST_KEYS = 1000
"""Keys of an object that are looked at."""

MOST_COLUMNS = 100
"""An object with more keys than these has ids for keys."""

TO_LINES = "Write one object a line, such as with jq -c '{filter}' {name} > rows.jsonl."
FROM_PANDAS = (
    "It holds whole columns, as pandas' to_json writes them. Write it again with "
    "to_json(..., orient='records', lines=True)."
)


@dataclass(frozen=True)
class Layout:
    """Where the rows begin.

    Attributes:
        lines: they are one a line; else they follow each other, whatever the lines.
        offset: bytes before the first row.
        line: the line of the first row.
        listed: they are in a list, with commas between.
        key: of the object that the list is in; empty if it is in none.
        left_out: the object's other keys.
    """

    lines: bool = False
    offset: int = 0
    line: int = 1
    listed: bool = False
    key: str = ""
    left_out: tuple[str, ...] = ()


def find_layout(path: Path, encoding: str = "utf-8") -> Layout:
    """Tell how the rows lie in a file.

    Raises:
        ValueError: it is no UTF-8, it is cut, or it is one object that is no row.
    """
    with open_utf8(path, encoding) as stream:
        head = stream.read(HEAD)
    text = head.lstrip()
    skipped = len(head) - len(text)
    if text[:1] == b"[":
        return Layout(offset=skipped + 1, line=1 + head.count(b"\n", 0, skipped), listed=True)
    if text[:1] != b"{" or _on_lines(path, text):
        return Layout(lines=True)
    with open_utf8(path, encoding) as stream:
        return _choose(
            path,
            _Outline.of(stream),
            Layout(offset=skipped, line=1 + head.count(b"\n", 0, skipped)),
        )


def _on_lines(path: Path, text: bytes) -> bool:
    """Tell whether each line is an object, or is meant to be one."""
    lines = [line.strip() for line in text.split(b"\n", 2) if line.strip()]
    if len(lines) > 1:
        return not lines[0].endswith((b"{", b"[", b",", b":"))
    # One line, or the start of one: in a file named .json it may be an object around all rows.
    return not ending(path).startswith(".json.") and ending(path) != ".json"


@dataclass
class _Value:
    """A value of an object.

    Attributes:
        kind: `scalar`, `object`, `objects` for a list of them, or `list`.
        offset: bytes before what is inside.
        line: that it begins on.
        inner: the first key of an object.
    """

    kind: str
    offset: int = 0
    line: int = 1
    inner: str = ""


class _Outline:
    """The keys of the first object of a file, and what their values are."""

    def __init__(self) -> None:
        self.values: dict[str, _Value] = {}
        self.closed = False
        self.more = False
        self._depth = 0
        self._key = ""
        self._opened: _Value | None = None

    @classmethod
    def of(cls, stream: BinaryIO) -> _Outline:
        """Read the first object, and look whether more follows it."""
        outline = cls()
        for token, between, offset, line in tokens(stream):
            if outline.closed:
                outline.more = True
                break
            outline._take(token, between, offset, line)
            if len(outline.values) > MOST_KEYS:
                break
        return outline

    def _take(self, token: bytes, between: bytes, offset: int, line: int) -> None:
        sign = token[:1]
        if self._opened:  # What comes first in a list or an object of the first level.
            opened, self._opened = self._opened, None
            blank = not between.strip()
            if opened.kind == "list" and sign == b"{" and blank:
                opened.kind = "objects"
            elif opened.kind == "object" and sign == b'"':
                opened.inner = _text(token)
        if self._depth == 1 and sign not in b"}]":
            is_key = sign == b'"' and not between.rstrip().endswith(b":")
            if is_key:
                self._key = _text(token)
                self.values[self._key] = _Value("scalar")
            elif sign in b"{[":
                kind = "list" if sign == b"[" else "object"
                self._opened = _Value(kind, offset + 1, line)
                self.values[self._key] = self._opened
        self._depth += (sign in b"{[") - (sign in b"}]")
        self.closed = self._depth == 0


def tokens(stream: BinaryIO) -> Iterator[tuple[bytes, bytes, int, int]]:
    """Yield strings and brackets, what is before each, its offset and its line.

    Raises:
        ValueError: a string does not end.
    """
    buffer, before, line, more = b"", 0, 1, True
    while more:
        read = stream.read(READ)
        more = bool(read)
        buffer += read
        if len(buffer) > LONGEST_VALUE:
            raise ValueError(f"Line {line}: a value is longer than {LONGEST_VALUE:,} bytes.")
        end = counted = 0
        for found in TOKEN.finditer(buffer):
            token, start = found.group(), found.start()
            if token == b'"':
                if not more or b"\n" in buffer[start:]:
                    line += buffer.count(b"\n", counted, start)
                    raise ValueError(f"Line {line}: a string does not end.")
                break
            line += buffer.count(b"\n", counted, start)
            counted = start
            yield token, buffer[end:start], before + start, line
            end = found.end()
        # A line break counts once, with the token that follows it.
        line += buffer.count(b"\n", counted, end)
        before += end
        buffer = buffer[end:]


def _text(token: bytes) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token.decode("utf-8", "replace")


def _choose(path: Path, outline: _Outline, rows: Layout) -> Layout:
    """Tell whether a file is rows, or one object around a list of them."""
    values = outline.values
    lists = [key for key, value in values.items() if value.kind == "objects"]
    if outline.more or (outline.closed and not values):
        return rows
    if len(values) <= MOST_KEYS and not outline.closed:
        raise ValueError("It ends before its first object does.")
    others = tuple(key for key in values if key not in lists)
    if len(lists) == 1 and (not others or lists[0] == "data"):
        found = values[lists[0]]
        return Layout(
            offset=found.offset, line=found.line, listed=True, key=lists[0], left_out=others
        )
    kinds = {value.kind for value in values.values()}
    filter = ""
    if len(lists) > 1 and not others:
        filter = f".{lists[0]}[]"
    elif kinds == {"object"} and not all(value.inner.isdigit() for value in values.values()):
        filter = "to_entries[] | {id: .key} + .value"
    elif kinds == {"scalar"} and len(values) > MOST_COLUMNS:
        filter = "to_entries[] | {id: .key, text: .value}"
    elif kinds != {"object"} and not (kinds == {"list"} and len(values) > 1):
        return rows
    fix = TO_LINES.format(filter=filter, name=path.name) if filter else FROM_PANDAS
    shown = ", ".join(map(repr, list(values)[:5])) + (", ..." if len(values) > 5 else "")
    raise ValueError(f"It is one object, with the keys {shown}, not a list of rows. {fix}")
