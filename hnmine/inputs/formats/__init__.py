"""The formats that are read: one reader, and one line here, for each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hnmine.inputs.formats.columnar import ArrowReader, ParquetReader
from hnmine.inputs.formats.delimited import DelimitedReader
from hnmine.inputs.formats.json_lines import JsonReader
from hnmine.inputs.formats.reader import Asked, Reader
from hnmine.inputs.formats.text import CODECS, PACKED, ending

TABBED = partial(DelimitedReader, delimiters="\t")

FORMATS: dict[str, Callable[[Path, Asked], Reader]] = {
    ".parquet": ParquetReader,
    ".jsonl": JsonReader,
    ".json": JsonReader,
    ".ndjson": JsonReader,
    ".csv": partial(DelimitedReader, delimiters=",;\t|"),
    ".tsv": TABBED,
    ".arrow": ArrowReader,
    ".feather": ArrowReader,
}
"""By the ending of a file's name."""

NAMED = (".txt", ".qrels", ".qrel", ".run", ".trec")
"""Endings of text tables that are read if they are named; in a directory they may be anything."""

STREAMED = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", *NAMED)
"""Endings of formats that are read front to back, and so packed, too."""

READABLE = {*FORMATS, *NAMED, *(name + packed for name in STREAMED for packed in CODECS)}
"""Endings of the files that are read."""

LOOKED_AT = tuple(name + packed for name in FORMATS for packed in ("", *PACKED))
"""Endings of what is data in a directory, whether it can be read or not."""


def open_reader(path: Path, asked: Asked) -> Reader:
    """Open a file.

    Raises:
        InputError: it is not as it is asked for.
        ValueError: it is empty or damaged.
    """
    suffix = "." + ending(path).split(".")[1] if ending(path) else ""
    return FORMATS.get(suffix, TABBED)(path, asked)
