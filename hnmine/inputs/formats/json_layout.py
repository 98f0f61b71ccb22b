"""The rows of a JSON file: one a line, in an array, or in the one list of an object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hnmine.inputs.formats.reader import LONGEST_VALUE
from hnmine.inputs.formats.text import ending, line_blocks, pieces

HEAD = 1 << 20
"""Bytes at the start of a file that tell how its rows lie."""

READ = 1 << 22

TOKEN = re.compile(rb'"[^"\\\n\r]*(?:\\[^\n\r][^"\\\n\r]*)*"|[{}\[\]"]')
"""A string, a bracket, or the quote of a string that does not end before its line does."""

_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")

MOST_KEYS = 1000
"""Keys of an object that are looked at."""

MOST_COLUMNS = 100
"""An object with more keys than these has ids for keys."""

TO_LINES = "Write one object a line, such as with jq -c '{filter}' {name} > rows.jsonl."
FROM_PANDAS = (
    "It holds whole columns, as pandas' to_json writes them. Write it again with "
    "to_json(..., orient='records', lines=True)."
)

Token = tuple[bytes, bytes, int]
"""A string or a bracket, what is before it, and its line; empty at the end of the file."""

Block = tuple[bytes, Sequence[int]]
"""Rows, each on a line of its own, and the line of the file on which each begins."""


@dataclass(frozen=True)
class Layout:
    """Where the rows begin.

    Attributes:
        lines: they are one a line; else they follow each other, whatever the lines.
        skip: tokens before the first row.
        listed: they are in a list, with commas between.
        key: of the object that the list is in; empty if it is in none.
        left_out: the object's other keys.
    """

    lines: bool = False
    skip: int = 0
    listed: bool = False
    key: str = ""
    left_out: tuple[str, ...] = ()


def find_layout(path: Path, encoding: str) -> Layout:
    """Tell how the rows lie in a file.

    Raises:
        ValueError: it is no UTF-8, it is cut, or it is one object that is no row.
    """
    text = next(pieces(path, encoding, HEAD), b"").lstrip()
    if text[:1] == b"[":
        return Layout(skip=1, listed=True)
    if text[:1] != b"{" or _on_lines(path, text):
        return Layout(lines=True)
    return _choose(path, _Outline(_tokens(path, encoding, READ)))


def json_blocks(path: Path, layout: Layout, size: int, encoding: str) -> Iterator[Block]:
    """Yield the rows of a file, about `size` bytes at once.

    Raises:
        ValueError: the file is cut, or something else stands between its rows.
    """
    if layout.lines:
        for first, block in line_blocks(path, encoding, size):
            yield block, range(first, first + block.count(b"\n") + 1)
        return
    rows: list[bytes] = []
    lines: list[int] = []
    length = 0
    for line, row in _rows(_tokens(path, encoding, size), layout):
        rows.append(row.translate(_ONE_LINE))
        lines.append(line)
        length += len(row)
        if length >= size:
            yield b"\n".join(rows), lines
            rows, lines, length = [], [], 0
    yield b"\n".join(rows), lines


def _rows(tokens: Iterator[Token], layout: Layout) -> Iterator[tuple[int, bytes]]:
    """Yield the line and the bytes of each row that follows another, in a list or not."""
    row: list[bytes] = []
    first = depth = length = 0
    comma = b""
    for token, between, line in islice(tokens, layout.skip, None):
        is_end = token in (b"}", b"]")
        if depth:
            if not token:
                raise ValueError(f"Line {line}: the file ends too early.")
            row += (between, token)
            length += len(between) + len(token)
            if length > LONGEST_VALUE:
                raise ValueError(f"Line {first}: a row is longer than {LONGEST_VALUE:,} bytes.")
        elif is_end or not token:
            _check_between(between, b"", line)
            if layout.listed != (token == b"]") or token == b"}":
                wrong = (
                    "a bracket closes what was not opened" if token else "the file ends too early"
                )
                raise ValueError(f"Line {line}: {wrong}.")
            break
        else:
            _check_between(between, comma, line)
            comma = b"," if layout.listed else b""
            row, first, length = [token], line, 0
        depth += (token in (b"{", b"[")) - is_end
        if not depth:
            yield first, b"".join(row)
    if layout.listed and not layout.key:
        token, between, line = next(tokens)
        if token or between.strip():
            raise ValueError(f"Line {line}: more follows the list.")


def _check_between(found: bytes, expected: bytes, line: int) -> None:
    if (found := found.strip()) != expected:
        shown = found[:40].decode("utf-8", "replace")
        raise ValueError(f"Line {line}: {shown!r} stands where a row should begin or end.")


def _tokens(path: Path, encoding: str, size: int) -> Iterator[Token]:
    """Yield the strings and brackets of a file, and an empty one at its end."""
    buffer, line, more = b"", 1, True
    read = pieces(path, encoding, size)
    while more:
        piece = next(read, b"")
        more = bool(piece)
        buffer += piece
        if len(buffer) > LONGEST_VALUE:
            raise ValueError(f"Line {line}: a value is longer than {LONGEST_VALUE:,} bytes.")
        end = 0
        for found in TOKEN.finditer(buffer):
            token, start = found.group(), found.start()
            before = line + buffer.count(b"\n", end, start)
            if token == b'"':
                if not more or b"\n" in buffer[start:]:
                    raise ValueError(f"Line {before}: a string does not end.")
                break
            line = before
            yield token, buffer[end:start], line
            end = found.end()
        buffer = buffer[end:]
    yield b"", buffer, line + buffer.count(b"\n")


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
        skip: tokens before what is inside.
        inner: the first key of an object.
    """

    kind: str
    skip: int = 0
    inner: str = ""


class _Outline:
    """The keys of the first object of a file, and what their values are.

    Attributes:
        values: by key.
        closed: the object ends.
        more: something follows it.
    """

    def __init__(self, tokens: Iterator[Token]) -> None:
        self.values: dict[str, _Value] = {}
        self.closed = self.more = False
        depth, key = 0, ""
        opened: _Value | None = None
        for number, (token, between, _) in enumerate(tokens, 1):
            if self.closed or not token or len(self.values) > MOST_KEYS:
                self.more = self.closed and bool(token)
                break
            if opened:  # What comes first in a list or an object of the first level.
                if opened.kind == "list" and token == b"{" and not between.strip():
                    opened.kind = "objects"
                elif opened.kind == "object" and token[:1] == b'"':
                    opened.inner = _text(token)
                opened = None
            if depth == 1 and token[:1] == b'"':
                if not between.rstrip().endswith(b":"):
                    key = _text(token)
                    self.values[key] = _Value("scalar")
            elif depth == 1 and token in (b"{", b"["):
                opened = _Value("list" if token == b"[" else "object", number)
                self.values[key] = opened
            depth += (token in (b"{", b"[")) - (token in (b"}", b"]"))
            self.closed = depth == 0


def _text(token: bytes) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token.decode("utf-8", "replace")


def _choose(path: Path, outline: _Outline) -> Layout:
    """Tell whether a file is rows, or one object around a list of them."""
    values = outline.values
    lists = [key for key, value in values.items() if value.kind == "objects"]
    if outline.more or (outline.closed and not values):
        return Layout()
    if len(values) <= MOST_KEYS and not outline.closed:
        raise ValueError("It ends before its first object does.")
    others = tuple(key for key in values if key not in lists)
    if len(lists) == 1 and (not others or lists[0] == "data"):
        found = values[lists[0]]
        return Layout(skip=found.skip, listed=True, key=lists[0], left_out=others)
    kinds = {value.kind for value in values.values()}
    filter = ""
    if len(lists) > 1 and not others:
        filter = f".{lists[0]}[]"
    elif kinds == {"object"} and not all(value.inner.isdigit() for value in values.values()):
        filter = "to_entries[] | {id: .key} + .value"
    elif kinds == {"scalar"} and len(values) > MOST_COLUMNS:
        filter = "to_entries[] | {id: .key, text: .value}"
    elif kinds != {"object"} and not (kinds == {"list"} and len(values) > 1):
        return Layout()
    fix = TO_LINES.format(filter=filter, name=path.name) if filter else FROM_PANDAS
    shown = ", ".join(map(repr, list(values)[:5])) + (", ..." if len(values) > 5 else "")
    raise ValueError(f"It is one object, with the keys {shown}, not a list of rows. {fix}")
