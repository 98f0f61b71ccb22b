"""CSV and TSV files; a row that does not fit the header is an error."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

import pyarrow as pa

from hnmine.data.cells import from_cell, is_sheet
from hnmine.data.formats.base import BATCH_ROWS, LONGEST_VALUE, Columns, refuse_twins
from hnmine.data.formats.stream import open_bytes


@dataclass(frozen=True)
class Delimited:
    """Values between delimiters, below a header."""

    delimiter: str

    def columns(self, path: Path) -> Columns:
        """Find the columns of a file, from its header."""
        header = next(self._rows(path))
        refuse_twins(header)
        return Columns([pa.field(name, pa.large_string()) for name in header])

    def batches(self, path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns."""
        rows = self._rows(path)
        header = next(rows)
        text_of = from_cell if is_sheet(header) else str
        while block := list(islice(rows, BATCH_ROWS)):
            # What is quoted and what is not cannot be told apart here: an empty value is no value.
            columns = [
                pa.array([text_of(value) or None for value in column], pa.large_string())
                for column in zip(*block, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, names=header).select(names)

    def _rows(self, path: Path) -> Iterator[list[str]]:
        """Yield the header and the rows.

        Python's parser, because Arrow's takes a quote that is never closed for a value that holds
        the rest of the file.
        """
        csv.field_size_limit(LONGEST_VALUE)
        with TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=self.delimiter, strict=True)
            header: list[str] | None = None
            try:
                for row in reader:
                    if not row:
                        continue
                    header = header or row
                    if len(row) != len(header):
                        raise ValueError(
                            f"It has {len(row)} columns, the header has {len(header)}."
                        )
                    yield row
            except UnicodeDecodeError:
                raise
            except (csv.Error, ValueError) as error:
                raise ValueError(f"Line {reader.line_num}: {error}") from error
        if header is None:
            raise ValueError("The file is empty.")
