"""Text files as whole lines in UTF-8, whatever their encoding."""

from __future__ import annotations

import codecs
import io
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hnmine.errors import InputError
from hnmine.inputs.formats.stream import open_bytes
from hnmine.inputs.formats.table_format import LONGEST_VALUE

BLOCK = 1 << 23

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte order marks; those of UTF-32 begin like those of UTF-16."""

PACKINGS = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
"""How packed files begin; no text does."""


def line_blocks(path: Path, encoding: str, size: int = BLOCK) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines in UTF-8, about `size` bytes at once, with the number of the first.

    Args:
        path: a file; a byte order mark at its start says its encoding.
        encoding: its encoding, if it has no such mark.
        size: bytes that are read at once.

    Raises:
        InputError: a line is not of that encoding.
        ValueError: a line is longer than `LONGEST_VALUE`.
    """
    number, rest, only_returns = 1, b"", False
    for piece in _recoded(path, encoding, size):
        if number == 1 and not rest:
            only_returns = b"\r" in piece and b"\n" not in piece
        if only_returns:
            piece = piece.replace(b"\r", b"\n")
        end = piece.rfind(b"\n") + 1
        if not end:
            rest += piece
            if len(rest) > LONGEST_VALUE:
                raise ValueError(f"Line {number}: it is longer than {LONGEST_VALUE:,} bytes.")
            continue
        block, rest = rest + piece[:end], piece[end:]
        yield number, check_utf8(path, block, number)
        number += block.count(b"\n")
    if rest:
        yield number, check_utf8(path, rest, number)


def check_utf8(path: Path, block: bytes, first: int) -> bytes:
    """Return a block of lines, if it is UTF-8.

    Raises:
        InputError: names the line, and the flag that reads other encodings.
    """
    if block.isascii():
        return block
    try:
        block.decode()
    except UnicodeDecodeError as error:
        line = first + block.count(b"\n", 0, error.start)
        raise not_decoded(path, line, "UTF-8", block[error.start : error.start + 1]) from error
    return block


def not_decoded(path: Path, line: int, encoding: str, found: bytes) -> InputError:
    """Return the error for a line that is not of an encoding."""
    return InputError(
        f"Cannot read {path}.",
        why=f"Line {line}: byte 0x{found.hex()} is not {encoding}.",
        fix="Save the file as UTF-8, or pass its encoding: --encoding cp1252 for Windows and "
        "Latin-1, --encoding utf-16.",
    )


def _recoded(path: Path, encoding: str, size: int) -> Generator[bytes]:
    """Yield the content in UTF-8, which is not checked if the file is in UTF-8."""
    with open_bytes(path) as stream:
        start = stream.read(size)
        _refuse_packed(path, start)
        mark = next((mark for mark in MARKS if start.startswith(mark)), b"")
        name = MARKS.get(mark, encoding)
        start = start[len(mark) :]
        if codecs.lookup(name).name == "utf-8":
            _refuse_zeros(path, start)
            while start:
                yield start
                start = stream.read(size)
            return
        decoder, line = codecs.getincrementaldecoder(name)(), 1
        while True:
            try:
                text = decoder.decode(start, final=not start)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(name, "ignore")
                found = error.object[error.start : error.start + 1]
                line += before.count("\n")
                raise not_decoded(path, line, name, found) from error
            line += text.count("\n")
            if text:
                yield text.encode()
            if not start:
                return
            start = stream.read(size)


def _refuse_packed(path: Path, start: bytes) -> None:
    """Refuse a packed file whose name does not say so.

    Raises:
        InputError: names the ending.
    """
    packed = next((name for mark, name in PACKINGS.items() if start.startswith(mark)), None)
    if packed:
        raise InputError(
            f"Cannot read {path}.",
            why=f"It is packed, as {packed} files are.",
            fix=f"Name it {path.name}{packed}, or unpack it.",
        )


def _refuse_zeros(path: Path, start: bytes) -> None:
    """Refuse UTF-16 without a byte order mark, which may be valid UTF-8.

    Raises:
        InputError: names the encoding.
    """
    for place, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        bytes_there = start[place:64:2]
        if len(bytes_there) > 1 and bytes_there.count(0) > len(bytes_there) / 2:
            raise InputError(
                f"Cannot read {path}.",
                why="Line 1: every other byte is zero, as in UTF-16.",
                fix=f"Pass --encoding {name}.",
            )


def open_utf8(path: Path, encoding: str) -> BinaryIO:
    """Open a file as bytes in UTF-8, without its byte order mark; UTF-8 is passed on unchecked.

    Args:
        path: a file; a byte order mark at its start says its encoding.
        encoding: its encoding, if it has no such mark.
    """
    return io.BufferedReader(_Pieces(_recoded(path, encoding, BLOCK)), BLOCK)


class _Pieces(io.RawIOBase):
    """Pieces of bytes as a stream."""

    def __init__(self, pieces: Generator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._rest or next(self._pieces, b"")
        size = min(len(piece), len(buffer))
        buffer[:size], self._rest = piece[:size], piece[size:]
        return size

    def close(self) -> None:
        self._pieces.close()
        super().close()
