"""The formats that are read: one file, and one line here, for each."""

from __future__ import annotations

from pathlib import Path

from hnmine.data.formats.base import Asked, Format
from hnmine.data.formats.delimited import Delimited
from hnmine.data.formats.json_lines import JsonLines
from hnmine.data.formats.parquet import Parquet

FORMATS: dict[str, Format] = {
    ".parquet": Parquet(),
    ".jsonl": JsonLines(),
    ".json": JsonLines(),
    ".ndjson": JsonLines(),
    ".csv": Delimited(",;\t|"),
    ".tsv": Delimited("\t"),
}
"""By the ending of a file's name."""

NAMED = dict.fromkeys((".txt", ".qrels", ".qrel", ".run", ".trec"), Delimited("\t"))
"""Formats of files that are read if they are named; in a directory they may be anything."""


def reader_of(path: Path, asked: Asked) -> Format:
    """Return what reads a file.

    Raises:
        InputError: it is not as it is asked for.
        ValueError: it is empty or damaged.
    """
    suffix = path.suffix.lower()
    found = FORMATS.get(suffix) or NAMED.get(suffix) or Delimited("\t")
    return found.fit(path, asked) if isinstance(found, Delimited | JsonLines) else found
