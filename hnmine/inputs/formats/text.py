"""Text files as whole lines in UTF-8, whatever their packing and encoding."""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterator
from pathlib import Path

import pyarrow as pa

from hnmine.errors import InputError
from hnmine.inputs.formats.reader import LONGEST_VALUE

BLOCK = 1 << 23

CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
"""Of the endings that are unpacked."""

PACKED = {*CODECS, ".xz", ".lz4", ".zip", ".tar", ".tgz", ".7z", ".snappy"}
"""Endings of packed files, those that are not unpacked among them."""

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


def ending(path: Path) -> str:
    """Return the ending that names a file's format, with that of its packing: `.jsonl.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = suffixes[-1:] and suffixes[-1] in PACKED
    return "".join(suffixes if packed else suffixes[-1:])


def line_blocks(path: Path, encoding: str, size: int = BLOCK) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines, about `size` bytes at once, with the number of the first; see `pieces`.

    Raises:
        ValueError: a line is longer than `LONGEST_VALUE`.
    """
    number, rest, only_returns = 1, b"", False
    for piece in pieces(path, encoding, size):
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
        yield number, block
        number += block.count(b"\n")
    if rest:
        yield number, rest


def checked_blocks(path: Path, encoding: str, size: int = BLOCK) -> Iterator[tuple[int, bytes]]:
    """Yield what `line_blocks` does, if it is UTF-8.

    Raises:
        InputError: names the line, and the flag that reads other encodings.
    """
    for number, block in line_blocks(path, encoding, size):
        try:
            block.decode()
        except UnicodeDecodeError as error:
            line = number + block.count(b"\n", 0, error.start)
            raise _not_decoded(path, line, "UTF-8", error) from error
        yield number, block


def pieces(path: Path, encoding: str, size: int = BLOCK) -> Generator[bytes]:
    """Yield a file in UTF-8, unpacked and without its byte order mark.

    Args:
        path: a file; a byte order mark at its start says its encoding.
        encoding: its encoding, if it has no such mark; what should be UTF-8 is not checked.
        size: bytes that are read at once.

    Raises:
        InputError: a line is not of that encoding, or the file is of another kind.
        OSError: a packed file is damaged or ends too early.
    """
    with pa.input_stream(str(path), compression=CODECS.get(path.suffix.lower())) as stream:
        start = stream.read(size)
        mark = next((mark for mark in MARKS if start.startswith(mark)), b"")
        name = MARKS.get(mark, encoding)
        start = start[len(mark) :]
        is_utf8 = codecs.lookup(name).name == "utf-8"
        _refuse_other_kinds(path, start, is_utf8)
        if is_utf8:
            while start:
                yield start
                start = stream.read(size)
            return
        decoder, line = codecs.getincrementaldecoder(name)(), 1
        while True:
            try:
                text = decoder.decode(start, final=not start)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].decode(name, "ignore").count("\n")
                raise _not_decoded(path, line, name, error) from error
            line += text.count("\n")
            if text:
                yield text.encode()
            if not start:
                return
            start = stream.read(size)


def _not_decoded(path: Path, line: int, encoding: str, error: UnicodeDecodeError) -> InputError:
    byte = error.object[error.start : error.start + 1].hex()
    return InputError(
        f"Cannot read {path}.",
        why=f"Line {line}: byte 0x{byte} is not {encoding}.",
        fix="Save the file as UTF-8, or pass its encoding: --encoding cp1252 for Windows and "
        "Latin-1, --encoding utf-16.",
    )


def _refuse_other_kinds(path: Path, start: bytes, is_utf8: bool) -> None:
    """Refuse packed files without the ending, and UTF-16 without a mark, which is valid UTF-8."""
    packed = next((name for mark, name in PACKINGS.items() if start.startswith(mark)), None)
    if packed:
        raise InputError(
            f"Cannot read {path}.",
            why=f"It is packed, as {packed} files are.",
            fix=f"Name it {path.name}{packed}, or unpack it.",
        )
    for place, name in ((1, "utf-16-le"), (0, "utf-16-be")) if is_utf8 else ():
        found = start[place:64:2]
        if len(found) > 1 and found.count(0) > len(found) / 2:
            raise InputError(
                f"Cannot read {path}.",
                why="Line 1: every other byte is zero, as in UTF-16.",
                fix=f"Pass --encoding {name}.",
            )
