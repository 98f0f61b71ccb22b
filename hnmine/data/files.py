"""Files in, Parquet, JSONL, CSV or TSV, as record batches: every row of them, or an error."""

from __future__ import annotations

import csv
import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.json

from hnmine.data.formats import FORMATS, NAMED, reader_of
from hnmine.data.formats.base import Asked, Format
from hnmine.data.unchanged import Unchanged
from hnmine.errors import InputError
from hnmine.schema import STATE
from hnmine.tasks.storage import fetch_input

SUFFIXES = tuple(FORMATS)
ANYTHING = Asked()
PACKED = {".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip"}


@dataclass(frozen=True)
class DataFile:
    """One file of an input, opened.

    Attributes:
        path: the file.
        types: of each column; several where a JSONL file changes its mind half-way.
        rows: how many it has; None for CSV, which has not been read yet.
        content: checks that it stays as it was.
        reader: of its format.
    """

    path: Path
    types: dict[str, list[pa.DataType]]
    rows: int | None
    content: Unchanged
    reader: Format

    @property
    def said(self) -> tuple[str, ...]:
        """What the user should know of how it is read."""
        return getattr(self.reader, "said", ())

    @classmethod
    def open(cls, path: Path, asked: Asked = ANYTHING) -> DataFile:
        """Find the columns of a file.

        Raises:
            InputError: it cannot be read, or two of its columns have one name.
        """
        with explained(path), (content := Unchanged(path)).reading():
            reader = reader_of(path, asked)
            found = reader.columns(path)
            types: dict[str, list[pa.DataType]] = {}
            for field in found.fields:
                types.setdefault(field.name, []).append(field.type)
            return cls(path, types, found.rows, content, reader)

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream those of the columns that the file has, at most `BATCH_ROWS` rows at once.

        Raises:
            InputError: the file turned out to be damaged half-way, or changed.
        """
        names = [name for name in columns if name in self.types]
        rows = 0
        with self.content.reading(), explained(self.path):
            for batch in self.reader.batches(self.path, names):
                batch.validate(full=True)
                if batch.num_rows:
                    yield batch
                    rows += batch.num_rows
            if self.rows not in (None, rows):
                raise ValueError(f"{rows:,} of its {self.rows:,} rows can be read.")

    def count_rows(self) -> int:
        """Count the rows.

        Raises:
            InputError: a row of a CSV file cannot be read.
        """
        if self.rows is not None:
            return self.rows
        return sum(batch.num_rows for batch in self.batches(list(self.types)[:1]))


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
        raise InputError(
            f"Cannot read {path}.",
            why=lines[0].strip()[:500] if lines else repr(error),
            fix="Check that the file is whole and what its ending says: Parquet, JSONL, CSV or "
            "TSV.",
        ) from error


def find_files(path: str, *, any_ending: bool = False) -> list[Path]:
    """List the data files of a file, directory or glob, sorted; of a URL, their mirrors.

    Hidden files, and what hnmine itself wrote below the directory, are no input.

    Args:
        path: where they are.
        any_ending: one file whose ending is not known is a text table, as runs often are.

    Raises:
        InputError: nothing is there, or the files are of several or unknown formats.
    """
    place = fetch_input(path)
    with explained(path or "''"):
        if not path.strip():
            raise ValueError("The path is empty.")
        files = sorted(set(_matches(place)))
        if not files:
            raise _nothing_there(place)
    suffixes = {file.suffix.lower() for file in files}
    if any_ending and place.is_file() and not suffixes & set(PACKED):
        return files
    if len(suffixes) > 1 or not suffixes <= {*SUFFIXES, *NAMED}:
        packed = suffixes & set(PACKED)
        raise InputError(
            f"Cannot tell the format of {path}: it has files ending in "
            f"{', '.join(sorted(suffix or 'nothing' for suffix in suffixes))}.",
            why="Packed files are not read." if packed else "",
            fix=f"Give files of one kind: {', '.join(SUFFIXES)}"
            + (", unpacked." if packed else "."),
        )
    return files


def _matches(place: Path) -> Iterator[Path]:
    """Yield the files of a file, a directory or a glob."""
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from _in_directory(place)
    else:
        parts = place.parts
        wild = next((n for n, part in enumerate(parts) if set("*?[").intersection(part)), None)
        if wild is None:
            return
        root = Path(*parts[:wild])
        hidden_wanted = any(part.startswith((".", "_")) for part in parts[wild:])
        for match in root.glob(str(Path(*parts[wild:]))):
            if not hidden_wanted and _hidden(match.relative_to(root)):
                continue
            if not match.is_dir():
                yield match
            elif match.name.lower().endswith(SUFFIXES):
                yield from _in_directory(match)  # As Spark writes a table.


def _in_directory(place: Path) -> Iterator[Path]:
    endings = (*SUFFIXES, *(suffix + packed for suffix in SUFFIXES for packed in PACKED))
    seen = set()
    for folder, folders, names in os.walk(place, onerror=_raise, followlinks=True):
        here = Path(folder)
        written_here = here != place and (here / STATE).exists()
        if written_here or here.resolve() in seen:
            folders.clear()
            continue
        seen.add(here.resolve())
        folders[:] = [name for name in folders if not _hidden(Path(name))]
        for name in names:
            if name.lower().endswith(endings) and not _hidden(Path(name)):
                yield here / name


def _raise(error: OSError) -> NoReturn:
    raise error


def _hidden(inside: Path) -> bool:
    return any(part.startswith((".", "_")) for part in inside.parts)


def _nothing_there(place: Path) -> InputError:
    lost = place.parent.is_dir() and not place.exists()
    nearby = [entry.name for entry in place.parent.iterdir()] if lost else []
    close = difflib.get_close_matches(place.name, nearby, n=3)
    return InputError(
        f"No data found at {place}.",
        why=f"The directory holds no file that ends in {', '.join(SUFFIXES)}."
        if place.is_dir()
        else "There is no such file or directory.",
        fix=f"Did you mean {' or '.join(close)}?" if close else "Check the path.",
    )
