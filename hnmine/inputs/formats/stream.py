"""Packed files as streams of bytes: nothing is unpacked on disk, and a cut file is an error."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
"""Of the endings that are unpacked."""

PACKED = {*CODECS, ".xz", ".lz4", ".zip", ".tar", ".tgz", ".7z", ".snappy"}
"""Endings of packed files, those that are not unpacked among them."""

UNPACKED_BLOCK = 1 << 20


def ending(path: Path) -> str:
    """Return the ending that names a file's format, with that of its packing: `.jsonl.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = suffixes[-1:] and suffixes[-1] in PACKED
    return "".join(suffixes if packed else suffixes[-1:])


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked where its ending is one of `CODECS`.

    Reading raises OSError where a packed file is damaged or ends too early.
    """
    codec = CODECS.get(path.suffix.lower())
    if codec is None:
        return path.open("rb")
    return io.BufferedReader(_Unpacked(path, codec), UNPACKED_BLOCK)


class _Unpacked(io.RawIOBase):
    """The content of a packed file."""

    def __init__(self, path: Path, codec: str) -> None:
        self._packed = pa.CompressedInputStream(pa.OSFile(str(path)), codec)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._packed.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._packed.close()
        super().close()
