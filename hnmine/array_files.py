"""Open and check arrays in directories that may come from someone else.

Compiled code and memory maps trust offsets and positions, so every reader of hnmine's arrays opens
them here, with the type, shape and range that it needs.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod
from mmap import MADV_DONTNEED, PAGESIZE
from os import pread
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hnmine.errors import damage_explained
from hnmine.ragged import Ints

AT_ONCE = 1 << 20
"""Values checked at once, to keep the rest of a mapped file out of memory."""

Value = TypeVar("Value", bound=np.number)
Shape = tuple[int | None, ...]
"""None stands for any length."""


def load_array(
    path: Path,
    dtype: type[Value],
    shape: Shape = (None,),
    *,
    low: float | None = None,
    below: float | None = None,
    ascending: bool = False,
    finite: bool = False,
    mapped: bool = True,
) -> NDArray[Value]:
    """Open a `.npy` file, memory-mapped, and check it.

    Args:
        path: the file.
        dtype: a type, or a kind of types, such as `np.unsignedinteger`.
        shape: None stands for any length.
        low: the least value.
        below: what every value is below.
        ascending: no value is below the one before it.
        finite: no value is infinite or not a number.
        mapped: map the file instead of reading it.

    Raises:
        InputError: the file is missing or damaged, or holds anything else.
    """
    with damage_explained(path):
        with path.open("rb") as file:
            _read_header(file, path.stat().st_size, dtype, shape)
        values: NDArray[Value] = np.load(
            path, mmap_mode="r" if mapped else None, allow_pickle=False
        )
        check_values(values, low=low, below=below, ascending=ascending, finite=finite)
        return values


@dataclass(frozen=True)
class MatrixFile:
    """The rows of a matrix in a checked `.npy` file of float32.

    A memory map would read ahead, most of the file for a few rows that are far apart.
    """

    path: Path
    start: int
    columns: int

    @classmethod
    def open(cls, path: Path, shape: Shape) -> MatrixFile:
        """Check the header of a file.

        Raises:
            InputError: the file is missing or damaged, or holds anything else.
        """
        with damage_explained(path), path.open("rb") as file:
            found, _ = _read_header(file, path.stat().st_size, np.float32, shape)
            return cls(path, file.tell(), found[1])

    def read(self, rows: Ints) -> NDArray[np.float32]:
        """Read some rows, shape (rows, columns).

        Raises:
            InputError: the file has become shorter, or is gone.
        """
        size = self.columns * 4
        with damage_explained(self.path), self.path.open("rb", buffering=0) as file:
            number = file.fileno()
            found = [pread(number, size, self.start + row * size) for row in rows.tolist()]
            return np.frombuffer(b"".join(found), np.float32).reshape(len(rows), self.columns)


def load_offsets(path: Path, lists: int, items: int, *, filled: bool = False) -> Ints:
    """Open the boundaries of lists, one more than there are lists, memory-mapped.

    Args:
        path: the file.
        lists: how many there are.
        items: how many all lists hold together.
        filled: no list is empty.

    Raises:
        InputError: they are no boundaries of so many lists and items.
    """
    offsets = load_array(path, np.int64, (lists + 1,))
    with damage_explained(path):
        check_offsets(offsets, items, filled=filled)
    return offsets


def load_archive(path: Path, dtypes: Mapping[str, type[Value]]) -> dict[str, NDArray[Value]]:
    """Read the arrays of an `.npz` file, which all have one length.

    Raises:
        InputError: the file is missing or damaged, or holds anything else.
    """
    with damage_explained(path), zipfile.ZipFile(path) as archive:
        found = {}
        for name, dtype in dtypes.items():
            member = archive.getinfo(f"{name}.npy")
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{name} is compressed.")
            with archive.open(member) as file:
                found[name] = read_array(file, path.stat().st_size, dtype)
        if len({len(values) for values in found.values()}) > 1:
            raise ValueError("Its arrays have different lengths.")
        return found


def read_array(file: Any, size: int, dtype: type[Value], shape: Shape = (None,)) -> NDArray[Value]:
    """Read the next array of an open file of `size` bytes; the caller explains errors."""
    found, kind = _read_header(file, size, dtype, shape, more=True)
    values: NDArray[Value] = np.empty(found, kind)
    if file.readinto(values.reshape(-1).view(np.uint8)) != values.nbytes:
        raise ValueError("It ends within an array.")
    return values


def check_offsets(offsets: Ints, items: int, *, filled: bool = False) -> None:
    """Check boundaries of lists.

    Raises:
        ValueError: they do not go from 0 to `items`, or a list ends before it begins.
    """
    if offsets[0] != 0 or offsets[-1] != items:
        raise ValueError(f"Its lists go from {offsets[0]:,} to {offsets[-1]:,}, not to {items:,}.")
    check_values(offsets, ascending=True, strictly=filled)


def check_values(
    values: NDArray[np.number],
    *,
    low: float | None = None,
    below: float | None = None,
    ascending: bool = False,
    strictly: bool = False,
    finite: bool = False,
) -> None:
    """Check the range and the order of values in blocks; NaN is in no range.

    Raises:
        ValueError: one is out of range, or is below the one before it.
    """
    last = None
    if low is None and below is None and not (ascending or finite):
        return
    # Products with zeros are 0, except for infinities and NaN: as fast as reading.
    zeros = np.zeros(min(AT_ONCE, values.size) if finite else 0, values.dtype)
    for part in _parts(values):
        if finite and np.vdot(part, zeros[: len(part)]) != 0:
            raise ValueError("It holds numbers that are not finite.")
        bounded = low is not None or below is not None
        least, most = (part.min(), part.max()) if bounded else (0, 0)
        if bounded and not ((low is None or least >= low) and (below is None or most < below)):
            raise ValueError(f"It holds {least} to {most}; allowed is {_range(low, below)}.")
        if ascending:
            step = part[1:] > part[:-1] if strictly else part[1:] >= part[:-1]
            first = last is None or (part[0] > last if strictly else part[0] >= last)
            if not (first and step.all()):
                raise ValueError("Its values do not ascend.")
            last = part[-1]


def _parts(values: NDArray[np.number]) -> Iterator[NDArray[np.number]]:
    flat = values.reshape(-1)
    for start in range(0, len(flat), AT_ONCE):
        part = flat[start : start + AT_ONCE]
        yield np.asarray(part)
        give_back(part)


def _range(low: float | None, below: float | None) -> str:
    return " and ".join(
        words
        for words in (
            "" if low is None else f"{low:,} or more",
            "" if below is None else f"less than {below:,}",
        )
        if words
    )


def _read_header(
    file: BinaryIO, size: int, dtype: type[Value], shape: Shape, *, more: bool = False
) -> tuple[tuple[int, ...], np.dtype[Value]]:
    """Read and check the header of an array in a file of `size` bytes, before allocating it.

    `more`: other data may follow the array.

    Raises:
        ValueError: its type or shape is wrong, or it is longer than the file.
    """
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    found, fortran, kind = read[npy.read_magic(file)](file)
    if not (kind.isnative and np.issubdtype(kind, dtype)):
        wanted = getattr(dtype, "__name__", dtype)
        raise ValueError(f"Its values are {kind}, not {wanted}.")
    fits = len(found) == len(shape) and all(
        have >= 0 and want in (None, have) for have, want in zip(found, shape, strict=True)
    )
    if not fits or (fortran and len(found) > 1):
        wanted = " x ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"Its shape is {' x '.join(map(str, found))}, not {wanted}.")
    check_bytes(found, kind, size - file.tell(), more=more)
    return found, kind


def check_bytes(shape: tuple[int, ...], kind: np.dtype[Value], there: int, *, more: bool) -> None:
    """Check that a file has as many bytes of values as an array needs.

    Args:
        shape: of the array.
        kind: type of its values.
        there: bytes from its first value to the end of the file.
        more: whether other data may follow the array.

    Raises:
        ValueError: it has fewer, or more that do not belong to it.
    """
    need = prod(shape) * kind.itemsize
    if need > there or (need < there and not more):
        raise ValueError(f"It has {there:,} bytes of values, and should have {need:,}.")


class _Python:
    """A file that NumPy does not recognise as one of the operating system."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def save_array(target: Path | BinaryIO, values: NDArray[np.number]) -> None:
    """Write an array as `.npy`, or fail.

    `np.save` writes real files in C, which loses the last kilobytes without an error on a full
    disk.
    """
    with target.open("wb") if isinstance(target, Path) else nullcontext(target) as file:
        np.save(_Python(file), values)


def give_back(part: NDArray[np.number]) -> None:
    """Release the memory of a contiguous part of a mapped file; other arrays stay as they are."""
    if isinstance(part, np.memmap):
        mapped = part._mmap  # type: ignore[attr-defined]
        start = part.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
        page = start // PAGESIZE * PAGESIZE
        mapped.madvise(MADV_DONTNEED, page, start + part.nbytes - page)
