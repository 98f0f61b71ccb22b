"""The formats that are read: one file, and one line here, for each."""

from __future__ import annotations

from pathlib import Path

from hnmine.data.formats.arrow import ArrowFile
from hnmine.data.formats.base import Format
from hnmine.data.formats.delimited import Delimited
from hnmine.data.formats.json_lines import JsonLines
from hnmine.data.formats.parquet import Parquet
from hnmine.data.formats.stream import CODECS, PACKED, ending

FORMATS: dict[str, Format] = {
    ".parquet": Parquet(),
    ".jsonl": JsonLines(),
    ".json": JsonLines(),
    ".ndjson": JsonLines(),
    ".csv": Delimited(","),
    ".tsv": Delimited("\t"),
    ".arrow": ArrowFile(),
    ".feather": ArrowFile(),
}
"""By the ending of a file's name."""

STREAMED = (".jsonl", ".json", ".ndjson", ".csv", ".tsv")
"""Endings of formats that are read front to back, and so packed, too."""

READABLE = {*FORMATS, *(name + packed for name in STREAMED for packed in CODECS)}
"""Endings of the files that are read."""

LOOKED_AT = (*READABLE, *(name + packed for name in FORMATS for packed in PACKED))
"""Endings of what is data, whether it can be read or not."""


def format_of(path: Path) -> Format:
    """Return what reads a file, by the ending of its name."""
    return FORMATS["." + ending(path).split(".")[1]]
