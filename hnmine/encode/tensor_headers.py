"""The names and shapes of a model's tensors, without their numbers."""

from __future__ import annotations

import json
from pathlib import Path

from hnmine.errors import MissingModel

Shapes = dict[str, tuple[int, ...]]

LARGEST_HEADER = 100_000_000
"""Bytes of a safetensors header, at most, by the format's own rule."""

LFS = b"version https://git-lfs"


def tensors_of(folder: Path) -> Shapes | None:
    """Return the shape of each tensor by its name; None without safetensors files.

    Raises:
        MissingModel: a file is damaged, or one that the index names is missing.
    """
    if (whole := folder / "model.safetensors").is_file():
        return _header(whole)
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return None
    try:
        names = sorted(
            {str(name) for name in json.loads(index.read_text("utf-8"))["weight_map"].values()}
        )
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise _damaged(index, "It lists no files.") from error
    found: Shapes = {}
    for name in names:
        if Path(name).name != name:
            raise _damaged(index, f"It names the file {name!r}.")
        found |= _header(folder / name)
    return found


def _header(file: Path) -> Shapes:
    if not file.is_file():
        raise _damaged(file, "It is missing, and the model's index names it.")
    with file.open("rb") as stream:
        start = stream.read(8)
        size = int.from_bytes(start, "little")
        if LFS.startswith(start) and len(start) == 8:
            raise _damaged(file, "It is a Git LFS pointer in place of the weights: git lfs pull.")
        if len(start) < 8 or size > min(LARGEST_HEADER, file.stat().st_size):
            raise _damaged(file, "Its header is cut off.")
        try:
            header = json.loads(stream.read(size))
            tensors = {name: one for name, one in header.items() if name != "__metadata__"}
            end = max((one["data_offsets"][1] for one in tensors.values()), default=0)
            shapes = {name: tuple(map(int, one["shape"])) for name, one in tensors.items()}
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
            raise _damaged(file, "Its header cannot be read.") from error
    if file.stat().st_size < 8 + size + end:
        raise _damaged(file, "Its end is missing.")
    return shapes


def _damaged(file: Path, why: str) -> MissingModel:
    return MissingModel(f"The model file {file} is damaged.", why=why, fix="Copy the model again.")
