"""Packed files as streams of bytes: nothing is unpacked on disk, and a cut file is an error."""

from __future__ import annotations

import io
import lzma
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".xz": "xz"}
"""Of the endings that are unpacked."""

PACKED = {*CODECS, ".lz4", ".zip", ".tar", ".tgz", ".7z", ".snappy"}
"""Endings of packed files, those that are not unpacked among them."""

UNPACKED_BLOCK = 1 << 20


def ending(path: Path) -> str:
    """Return the ending that names a file's format, with that of its packing: `.jsonl.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = suffixes[-1:] and suffixes[-1] in PACKED
    return "".join(suffixes if packed else suffixes[-1:])


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked where its ending is one of `CODECS`.

    Reading raises OSError or ValueError where a packed file is damaged or ends too early.
    """
    codec = CODECS.get(path.suffix.lower())
    if codec is None:
        return path.open("rb")
    packed: Any = lzma.open(path) if codec == "xz" else _arrow(path, codec)  # noqa: SIM115
    return io.BufferedReader(_Unpacked(packed), UNPACKED_BLOCK)


def _arrow(path: Path, codec: str) -> pa.CompressedInputStream:
    return pa.CompressedInputStream(pa.OSFile(str(path)), codec)


class _Unpacked(io.RawIOBase):
    """The content of a packed file."""

    def __init__(self, packed: Any) -> None:
        self._packed = packed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            found = self._packed.read(len(buffer))
        except (EOFError, lzma.LZMAError) as error:
            raise ValueError(str(error)) from error
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._packed.close()
        super().close()
