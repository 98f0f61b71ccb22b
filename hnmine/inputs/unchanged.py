"""Errors while an input is read, and changes of its file, as errors that name the file."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import xxhash

from hnmine.errors import InputError, first_line

HASH_BLOCK = 1 << 22
POINTER = b"version https://git-lfs"
YOUNG = 2_000_000_000
"""Nanoseconds: a file that was written within them may be written again with the same times."""

State = tuple[int, ...]


class Unchanged:
    """A file that must stay as it was when this was made.

    What tells is its inode, size and times; where they differ, its content, if it was hashed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = _state(path)
        self._hash: str | None = None
        self._young = _is_young(self._state, time.time_ns())

    def blocks(self) -> Iterator[bytes]:
        """Yield the content, to be hashed.

        Raises:
            InputError: it changed.
        """
        total = xxhash.xxh3_128()
        for block in _blocks(self.path):
            total.update(block)
            yield block
        # That of the state, or else `check` says so.
        self.check()
        self._hash = total.hexdigest()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Check the file before and after what is done meanwhile.

        Raises:
            InputError: it changed; also instead of the error of a reader that met the change.
        """
        self.check()
        try:
            yield
        except Exception:
            self.check()
            raise
        self.check(closely=self._young)

    def check(self, *, closely: bool = False) -> None:
        """Check that the file is what it was, `closely` by its content even if its times agree.

        Raises:
            InputError: it is not.
        """
        state, now = _state(self.path), time.time_ns()
        if state == self._state and not (closely and self._hash):
            return
        if state and self._hash and self._hash == _hash(self.path) and state == _state(self.path):
            self._state, self._young = state, _is_young(state, now)
            return
        raise InputError(
            f"{self.path} changed while it was read.",
            why="The recorded hash may not match the rows that were read.",
            fix="Rerun the command once nothing writes to the file.",
        )


def _is_young(state: State, now: int) -> bool:
    return bool(state) and now - max(state[-2:]) < YOUNG


def _state(path: Path) -> State:
    """Return what changes when a file does: inode, size, times; nothing if it does not exist."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK):
            yield block


def _hash(path: Path) -> str:
    total = xxhash.xxh3_128()
    for block in _blocks(path):
        total.update(block)
    return total.hexdigest()


@contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Turn whatever a reader throws at a file into an error that names the file.

    Raises:
        InputError: instead of the reader's exceptions, with what they say.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        why = first_line(error)
        fix = (
            "Check that the file is complete and matches its ending: Parquet, Arrow, JSON, CSV or "
            "TSV."
        )
        if _is_pointer(path):
            why = "It is a pointer of Git LFS, not the data."
            fix = "Fetch the data with git lfs pull, where the folder was cloned."
        raise InputError(f"Cannot read {path}.", why=why, fix=fix) from error


def _is_pointer(path: Path | str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(len(POINTER)) == POINTER
    except (OSError, ValueError):
        return False
