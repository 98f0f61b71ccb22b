"""List the files of a model's folder, through symlinked folders too, and hash them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import xxhash

NOT_CONTENT = {"README.md", ".gitattributes"}
BLOCK = 1 << 22

USUAL = rb"[\w./-]+\.(?:json|safetensors|bin|onnx|model|txt|csv)"
"""The usual form of the names of a model's files."""

SEAMS = {
    ".json": re.compile(rb"[\]}]\s*" + USUAL),
    ".txt": re.compile(USUAL),
    ".csv": re.compile(USUAL),
}
"""The trace in a file if another had been appended to it by name."""


@dataclass(frozen=True)
class Entry:
    """A file, or a folder under a second name.

    Attributes:
        inside: path from the model's folder.
        path: full path.
        same_as: for a folder with another name: the one under which its files are listed.
    """

    inside: PurePosixPath
    path: Path
    same_as: PurePosixPath | None = None


def entries_of(folder: Path) -> Iterator[Entry]:
    """Yield the files of a folder and of all folders below it, sorted.

    It follows links to folders, and lists each folder once, and never one that holds the whole
    model, so that loops end.
    """
    root = folder.resolve()
    names = {_identity(above): PurePosixPath("..") for above in root.parents}
    names[_identity(root)] = PurePosixPath(".")
    found = []
    for place, folders, files in os.walk(root, followlinks=True):
        inside = PurePosixPath(Path(place).relative_to(root).as_posix())
        found += [Entry(inside / name, Path(place, name)) for name in files]
        for name in sorted(folders):
            identity = _identity(path := Path(place, name))
            if identity in names:
                folders.remove(name)
                found.append(Entry(inside / name, path, names[identity]))
            else:
                names[identity] = inside / name
        folders.sort()
    # By parts, as paths compare: the files of a folder stay together.
    yield from sorted(found, key=lambda entry: entry.inside.parts)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def fingerprint(folder: Path) -> str:
    """Hash a model's files by name and content (xxh3, 128 bits); two checkpoints never share it."""
    total, plain = xxhash.xxh3_128(), True
    sizes: list[tuple[str, int | str]] = []
    for entry in entries_of(folder):
        inside, name = entry.inside, entry.inside.as_posix()
        hidden = any(part.startswith((".", "__pycache__")) for part in inside.parts)
        if hidden or inside.name in NOT_CONTENT or not (entry.same_as or entry.path.is_file()):
            continue
        total.update(name.encode("utf-8", "surrogateescape"))
        if entry.same_as:
            plain = False
            sizes.append((name, str(entry.same_as)))
            continue
        plain = plain and re.fullmatch(USUAL, os.fsencode(name)) is not None
        size = 0
        with entry.path.open("rb") as stream:
            while block := stream.read(BLOCK):
                size += len(block)
                total.update(block)
                plain = plain and not _has_seam(inside.suffix, block)
        sizes.append((name, size))
    if not plain:
        # Names and contents alone may not show where one file ends and the next begins. For usual
        # files they do, and their hash stays that of earlier versions.
        total.update(json.dumps(sizes).encode())
    return total.hexdigest()


def _has_seam(suffix: str, block: bytes) -> bool:
    """Tell whether a part of a file could be its end and the start of another.

    It searches only the end of weights, where millions of numbers hold a name by chance.
    """
    known = SEAMS.get(suffix)
    return bool(known.search(block) if known else re.search(USUAL, block[-4096:]))
