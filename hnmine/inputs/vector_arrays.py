"""Arrays of vectors in `.npy` and safetensors files, memory-mapped and checked before."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hnmine.array_files import check_bytes, give_back
from hnmine.errors import InputError

LONGEST_NPY_HEADER = 1 << 16
LONGEST_HEADER = 100 << 20
"""Bytes; safetensors allows no longer one."""

ODD_HEADER = (TypeError, AttributeError, LookupError, MemoryError, SyntaxError, TokenError)
"""What NumPy raises beside ValueError where a header is cut off, or no header at all."""

FLOATS = ("float16", "float32", "float64")
TENSORS: Mapping[str, str] = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
"""NumPy's types of the tensors that hold vectors; bfloat16 is read as its bits."""

IDS: Mapping[str, str] = {"I64": "<i8", "I32": "<i4", "U32": "<u4", "U64": "<u8"}
IDS_NAMED = ("ids", "id")

Vectors = NDArray[np.float32]
Numbers = NDArray[np.number]


@dataclass(frozen=True)
class VectorArray:
    """The vectors of one file, row by row.

    Attributes:
        path: the file.
        values: shape (rows, dimension), mapped; bfloat16 as its bits.
        ids: of each row; None where the file has none.
    """

    path: Path
    values: Numbers
    ids: Numbers | None = None

    def read(self, start: int, stop: int) -> Vectors:
        """Return rows as float32; a number beyond its range becomes infinite."""
        part = self.values[start:stop]
        if part.dtype == np.uint16:
            return (part.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):
            copy = np.array(part, dtype=np.float32, order="C")
        if part.flags.c_contiguous:
            give_back(part)
        return copy


def open_npy(path: Path) -> VectorArray:
    """Open a `.npy` file; nothing in it is ever unpickled.

    Raises:
        ValueError: it holds anything but one matrix of floats, or is cut off.
    """
    with path.open("rb") as file:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        if version not in read:
            raise ValueError(f"It has version {version[0]}.{version[1]} of the format.")
        at, width = file.tell(), 2 * version[0]
        length = int.from_bytes(file.read(width), "little")
        if length > LONGEST_NPY_HEADER:
            raise ValueError(f"Its header has {length:,} bytes.")
        file.seek(at)
        try:
            shape, columns_first, kind = read[version](file)
        except ODD_HEADER:
            raise ValueError("Its header is damaged.") from None
        at = file.tell()
    if kind.hasobject:
        raise ValueError("It holds Python objects, which hnmine never unpickles.")
    if kind.name not in FLOATS or not kind.isnative:
        raise ValueError(f"Its values are {kind}, not {', '.join(FLOATS)}.")
    if len(shape) != 2:
        shown = " x ".join(map(str, shape)) or "that of one number"
        raise ValueError(f"Its shape is {shown}; rows and dimensions are needed.")
    return VectorArray(path, _mapped(path, kind.str, shape, at, "F" if columns_first else "C"))


def open_safetensors(path: Path) -> VectorArray:
    """Open a safetensors file with one matrix of floats, and ids beside it or none.

    Raises:
        ValueError: it holds no such matrix or several, or is cut off.
    """
    with path.open("rb") as file:
        start, tensors = _header(file, path.stat().st_size)
    named = [f"{name} ({one.kind}, {list(one.shape)})" for name, one in tensors.items()]
    matrices = [name for name, one in tensors.items() if len(one.shape) == 2]
    if len(matrices) != 1:
        raise ValueError(f"It needs one matrix, and holds {', '.join(named[:9]) or 'nothing'}.")
    matrix = tensors[matrices[0]]
    if matrix.kind not in TENSORS:
        raise ValueError(f"Its values are {matrix.kind}, not {', '.join(TENSORS)}.")
    values = _mapped(path, TENSORS[matrix.kind], matrix.shape, start + matrix.start, more=True)
    ids = next((tensors[name] for name in IDS_NAMED if name in tensors), None)
    if ids is None:
        return VectorArray(path, values)
    if ids.kind not in IDS or ids.shape != matrix.shape[:1]:
        raise ValueError("Its ids are not one whole number for each of its rows.")
    return VectorArray(
        path, values, _mapped(path, IDS[ids.kind], ids.shape, start + ids.start, more=True)
    )


def _header(file: BinaryIO, size: int) -> tuple[int, dict[str, _Tensor]]:
    """Return where the tensors begin, and what the header says of each, checked."""
    length = int.from_bytes(file.read(8), "little")
    if length > min(LONGEST_HEADER, size - 8):
        raise ValueError(f"Its header would have {length:,} bytes, and the file has {size:,}.")
    try:
        found = json.loads(file.read(length))
    except (ValueError, RecursionError):
        raise ValueError("Its header is not JSON.") from None
    if not isinstance(found, dict):
        raise ValueError("Its header holds no tensors.")
    found.pop("__metadata__", None)
    start, whole = 8 + length, size - 8 - length
    tensors = {name: _Tensor.of(name, info) for name, info in found.items()}
    for name, tensor in tensors.items():
        if not tensor.start <= tensor.end <= whole:
            raise ValueError(f"The tensor {name!r} ends after byte {size:,}, where the file ends.")
        size_of_one = np.dtype(({**TENSORS, **IDS}).get(tensor.kind, "u1")).itemsize
        exact = tensor.kind in TENSORS or tensor.kind in IDS
        if exact and prod(tensor.shape) * size_of_one != tensor.end - tensor.start:
            raise ValueError(f"The tensor {name!r} has not the bytes that its shape needs.")
    return start, tensors


@dataclass(frozen=True)
class _Tensor:
    """What a header says of a tensor; its place is counted from the end of the header."""

    kind: str
    shape: tuple[int, ...]
    start: int
    end: int

    @classmethod
    def of(cls, name: str, info: object) -> _Tensor:
        if isinstance(info, dict):
            shape, ends = (_counts(info.get(key)) for key in ("shape", "data_offsets"))
            if shape is not None and ends is not None and len(ends) == 2:
                return cls(str(info.get("dtype")), shape, *ends)
        raise ValueError(f"Its header gives no shape or place of {name!r}.")


def _counts(values: object) -> tuple[int, ...] | None:
    counts = isinstance(values, list) and all(type(one) is int and one >= 0 for one in values)
    return tuple(values) if counts and isinstance(values, list) else None


def _mapped(
    path: Path,
    kind: str,
    shape: tuple[int, ...],
    at: int,
    order: Literal["C", "F"] = "C",
    *,
    more: bool = False,
) -> Numbers:
    """Map an array of a file whose values begin at a byte; `more`: other data may follow."""
    if not all(shape):
        raise ValueError(f"Its shape is {' x '.join(map(str, shape))}: it is empty.")
    check_bytes(shape, np.dtype(kind), path.stat().st_size - at, more=more)
    return np.memmap(path, dtype=kind, mode="r", offset=at, shape=shape, order=order)


def in_order(path: str, files: list[Path]) -> list[Path]:
    """Return the files of numbered shards by their numbers.

    Raises:
        InputError: the names do not say the order, or a number is missing.
    """
    if len(files) == 1:
        return files
    parts = [re.split(r"([0-9]+)", file.name) for file in files]
    counters = [
        place
        for place in range(1, max(map(len, parts)), 2)
        if len({part[place] for part in parts if place < len(part)}) > 1
    ]
    alike = len({tuple(part[::2]) for part in parts}) == 1
    unique = alike and len(counters) == 1
    by_number = (
        {int(part[counters[0]]): file for part, file in zip(parts, files, strict=True)}
        if unique
        else {}
    )
    numbers = sorted(by_number)
    if len(numbers) != len(files) or numbers[0] > 1 or numbers[-1] - numbers[0] >= len(files):
        have, first = {*numbers}, 0 if 0 in numbers else 1
        found = len(numbers) == len(files)
        gone = [next(n for n in range(first, first + len(have) + 1) if n not in have)] * found
        raise InputError(
            f"The order of the {len(files):,} files in {path} is unclear.",
            why=f"Number {gone[0]} is missing."
            if gone
            else "Their names differ in more than one "
            f"number: {', '.join(file.name for file in files[:4])}.",
            fix="Number them without gaps from 0 or 1, such as 00000.npy and 00001.npy.",
        )
    return [by_number[number] for number in numbers]
