"""The formats that are read: one file, and one line here, for each."""

from __future__ import annotations

from hnmine.data.formats.base import Format
from hnmine.data.formats.delimited import Delimited
from hnmine.data.formats.json_lines import JsonLines
from hnmine.data.formats.parquet import Parquet

FORMATS: dict[str, Format] = {
    ".parquet": Parquet(),
    ".jsonl": JsonLines(),
    ".json": JsonLines(),
    ".ndjson": JsonLines(),
    ".csv": Delimited(","),
    ".tsv": Delimited("\t"),
}
"""By the ending of a file's name."""
