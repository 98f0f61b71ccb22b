"""The formats that are read: one file, and one line here, for each."""

from __future__ import annotations

from pathlib import Path

from hnmine.inputs.formats.arrow import ArrowFile
from hnmine.inputs.formats.delimited import Delimited
from hnmine.inputs.formats.json_lines import JsonLines
from hnmine.inputs.formats.parquet import Parquet
from hnmine.inputs.formats.stream import CODECS, PACKED, ending
from hnmine.inputs.formats.table_format import Asked, Format

FORMATS: dict[str, Format] = {
    ".parquet": Parquet(),
    ".jsonl": JsonLines(),
    ".json": JsonLines(),
    ".ndjson": JsonLines(),
    ".csv": Delimited(",;\t|"),
    ".tsv": Delimited("\t"),
    ".arrow": ArrowFile(),
    ".feather": ArrowFile(),
}
"""By the ending of a file's name."""

NAMED = dict.fromkeys((".txt", ".qrels", ".qrel", ".run", ".trec"), Delimited("\t"))
"""Formats of files that are read if they are named; in a directory they may be anything."""

STREAMED = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", *NAMED)
"""Endings of formats that are read front to back, and so packed, too."""

READABLE = {*FORMATS, *NAMED, *(name + packed for name in STREAMED for packed in CODECS)}
"""Endings of the files that are read."""

LOOKED_AT = tuple(name + packed for name in FORMATS for packed in ("", *PACKED))
"""Endings of what is data in a directory, whether it can be read or not."""


def reader_of(path: Path, asked: Asked) -> Format:
    """Return what reads a file.

    Raises:
        InputError: it is not as it is asked for.
        ValueError: it is empty or damaged.
    """
    suffix = "." + ending(path).split(".")[1] if ending(path) else ""
    found = FORMATS.get(suffix) or NAMED.get(suffix) or Delimited("\t")
    return found.fit(path, asked) if isinstance(found, Delimited | JsonLines) else found
