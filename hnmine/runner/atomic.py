"""Write a file completely or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hnmine.errors import UsageError
from hnmine.runner.manifest import files_of


def temporary_name(name: str) -> str:
    """Return a random name: no other process uses it, and no link can wait there."""
    return f"{name}.{secrets.token_hex(8)}.tmp"


@contextmanager
def replacing(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path, whose content then replaces a file.

    Args:
        path: of the file.
        folder: of the temporary file, on the same file system. [default: that of the file]

    Raises:
        UsageError: the path is a directory.
    """
    if path.is_dir():
        raise UsageError(
            f"{path} is a directory.", why="A file is written here.", fix="Give a file's path."
        )
    temporary = (folder or path.parent) / temporary_name(path.name)
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)


def write_text(path: Path, text: str, folder: Path | None = None) -> None:
    """Write a text, all or nothing; see `replacing`."""
    with replacing(path, folder) as temporary:
        # A path on the command line need not be UTF-8.
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def flush(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_all(path: Path) -> None:
    """Force a file, or everything in a folder, to the disk."""
    for file in {*files_of(path), path}:
        flush(file)


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
