"""Write a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hnmine.tasks.written import files_of


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; what is written there is flushed and takes the place of a file."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text under a temporary name, flush it, and rename it."""
    with replacing(path) as temporary:
        # A path on the command line need not be UTF-8.
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def flush(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_all(path: Path) -> None:
    """Make sure that a file, or everything in a folder, is on the disk."""
    for file in {*files_of(path), path}:
        flush(file)
