"""Arrays on disk."""

from __future__ import annotations

from contextlib import nullcontext
from mmap import MADV_DONTNEED, PAGESIZE
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


class _Python:
    """A file that NumPy takes for no file of the operating system's."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def save_array(target: Path | BinaryIO, values: NDArray[Any]) -> None:
    """Write an array as `.npy`, or fail.

    `np.save` hands a file over to C, where the last few kilobytes are lost without an error if the
    disk is full.
    """
    with target.open("wb") if isinstance(target, Path) else nullcontext(target) as file:
        np.save(_Python(file), values)


def give_back(part: NDArray[Any]) -> None:
    """Let go of the memory of a contiguous part of a mapped file; it can be read again.

    An array that is not mapped is left alone.
    """
    if isinstance(part, np.memmap):
        mapped = part._mmap  # type: ignore[attr-defined]
        start = part.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
        page = start // PAGESIZE * PAGESIZE
        mapped.madvise(MADV_DONTNEED, page, start + part.nbytes - page)
