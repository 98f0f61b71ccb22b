"""What readers of files throw, as errors that name the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from hnmine.errors import InputError

POINTER = b"version https://git-lfs"


@contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Turn whatever a reader throws at a file into an error that names the file.

    Raises:
        InputError: instead of the reader's exceptions, with what they say.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        why = lines[0].strip()[:500] if lines else repr(error)
        fix = (
            "Check that the file is whole and what its ending says: Parquet, Arrow, JSON, CSV or "
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
