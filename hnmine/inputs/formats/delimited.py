"""CSV, TSV and other text tables; a row that does not fit the first is an error."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from hnmine.inputs.formats.header import find_names
from hnmine.inputs.formats.quoting import Quoting, prove, refuse_swallowed
from hnmine.inputs.formats.reader import BATCH_ROWS, LONGEST_VALUE, Asked, Reader, refuse_twins
from hnmine.inputs.formats.text import checked_blocks
from hnmine.inputs.spreadsheet_cells import from_cell, is_sheet

BLANKS = " "
"""As a delimiter: any number of blanks and tabs."""

BLANK_DELIMITED = {"qrels", "run"}
"""Tables whose values hold no blanks: TREC separates them by blanks."""

SAMPLE_BYTES, SAMPLE_ROWS = 1 << 18, 1000


class DelimitedReader(Reader):
    """A file of values between delimiters, one row a line or quoted as in RFC 4180.

    Raises:
        InputError: its encoding, quoting or header cannot be told or are not those asked for.
        ValueError: it is empty or damaged.
    """

    def __init__(self, path: Path, asked: Asked, delimiters: str) -> None:
        self._blocks = partial(checked_blocks, path, asked.reading.encoding)
        # Two blocks, because a last line without an end is one of its own.
        head = b"".join(block for _, block in islice(self._blocks(SAMPLE_BYTES), 2))
        lines = [line for line in head.decode().split("\n") if line.strip("\r")][:SAMPLE_ROWS]
        if not lines:
            raise ValueError("The file is empty.")
        self._delimiter = _find_delimiter(lines, delimiters, asked)
        quoting = self._find_quoting(path, asked)
        self._quoted = quoting.quoted
        # A quoted value over several lines must then not look like several rows.
        proved = (
            self._delimiter == "\t" and asked.reading.quoting == "auto" and not quoting.all_quoted
        )
        self._proved = proved
        rows = _split(lines, self._delimiter, self._quoted)
        if not rows:
            raise ValueError("Line 1: a quoted value is malformed, or its quote is never closed.")
        rows = [row for row in rows if len(row) == len(rows[0])]
        self._names, self._has_header = find_names(str(path), rows, asked)
        self.said = [quoting.said] if quoting.said else []
        if self._delimiter not in (delimiters[0], BLANKS):
            self.said.append(f"{path}: values are separated by {self._delimiter!r}.")
        if not self._has_header and "iteration" not in self._names:  # As TREC's files have it.
            names = ", ".join(self._names)
            self.said.append(f"{path} has no header: its columns are taken as {names}.")
        refuse_twins(self._names)
        super().__init__(path, [pa.field(name, pa.large_string()) for name in self._names])

    def batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns."""
        read = names or self._names[:1]
        places = [self._names.index(name) for name in read]
        for columns in (
            self._quoted_columns(places) if self._quoted else self._plain_columns(places)
        ):
            if is_sheet(self._names):
                columns = [
                    pa.array([cell and from_cell(cell) for cell in cells.to_pylist()], cells.type)
                    for cells in columns
                ]
            yield pa.RecordBatch.from_arrays(columns, names=read).select(names)

    def _find_quoting(self, path: Path, asked: Asked) -> Quoting:
        if self._delimiter == BLANKS or asked.reading.quoting == "none":
            return Quoting(False)
        if asked.reading.quoting == "csv" or self._delimiter != "\t":
            return Quoting(True)
        return prove(path, self._blocks, self._delimiter)

    def _plain_columns(self, places: list[int]) -> Iterator[list[pa.Array]]:
        mark = ord("\t" if self._delimiter == BLANKS else self._delimiter)
        skipped = int(self._has_header)
        for first, block in self._blocks():
            lines = _normal(block, self._delimiter)
            columns = _columns(lines, mark, len(self._names), places)
            if columns is None:
                raise self._first_misfit(first, block)
            rows = len(columns[0])
            for start in range(min(skipped, rows), rows, BATCH_ROWS):
                yield [column.slice(start, BATCH_ROWS) for column in columns]
            skipped -= min(skipped, rows)

    def _first_misfit(self, first: int, block: bytes) -> ValueError:
        rows = (
            _values(line.removesuffix("\r"), self._delimiter) for line in block.decode().split("\n")
        )
        return next(
            self._wrong_size(number, len(row))
            for number, row in enumerate(rows, first)
            if len(row) != len(self._names) and row not in ([""], [])
        )

    def _quoted_columns(self, places: list[int]) -> Iterator[list[pa.Array]]:
        rows = self._quoted_rows()
        if self._has_header:
            next(rows)
        while block := list(islice(rows, BATCH_ROWS)):
            columns = list(zip(*block, strict=True))
            # What is quoted and what is not cannot be told apart here: an empty value is no value.
            yield [
                pa.array([value or None for value in columns[place]], pa.large_string())
                for place in places
            ]

    def _quoted_rows(self) -> Iterator[list[str]]:
        """Yield the rows of a file with quoted values, the header too.

        Python's parser, because Arrow's takes a quote that is never closed for a value that holds
        the rest of the file.
        """
        csv.field_size_limit(LONGEST_VALUE)
        lines = (
            io.TextIOWrapper(io.BytesIO(one), "utf-8", newline="") for _, one in self._blocks()
        )
        reader = csv.reader(chain.from_iterable(lines), delimiter=self._delimiter, strict=True)
        start = 1
        try:
            for row in reader:
                if row and len(row) != len(self._names):
                    raise self._wrong_size(reader.line_num, len(row))
                if self._proved and reader.line_num > start:
                    refuse_swallowed(self.path, start, row, self._delimiter)
                if row:
                    yield row
                start = reader.line_num + 1
        except csv.Error as error:
            if "end of data" in str(error):
                wrong = f"Line {start}: a quote is opened and never closed."
            elif start < reader.line_num:
                wrong = f"Line {reader.line_num}: {error}, in the row that begins on line {start}."
            else:
                wrong = f"Line {start}: {error}."
            raise ValueError(f"{wrong} If quotes belong to the values: --quoting none.") from error

    def _wrong_size(self, line: int, size: int) -> ValueError:
        than = "header" if self._has_header else "first line"
        return ValueError(f"Line {line}: It has {size} columns, the {than} has {len(self._names)}.")


def _find_delimiter(lines: list[str], choice: str, asked: Asked) -> str:
    """Return the first delimiter that gives all lines the same number of values, over one."""
    if asked.kind in BLANK_DELIMITED and choice[0] == "\t":
        choice += BLANKS
    for delimiter in choice:
        rows = _split(lines, delimiter, choice[0] != "\t")
        if len({len(row) for row in rows}) != 1 or len(rows[0]) == 1:
            continue
        # Only the tag of a TREC run, its last column, may have blanks.
        mixed = BLANKS in choice and any(" " in cell.strip() for cell in rows[-1][:-1])
        if not mixed or asked.known.intersection(rows[0]):
            return delimiter
    first = (one for one in choice if len(_values(lines[0], one)) > 1)
    return next(first, choice[0])


def _split(lines: list[str], delimiter: str, quoted: bool) -> list[list[str]]:
    """Split lines into rows; quoted values only up to the first that is malformed or cut off."""
    if not quoted or delimiter == BLANKS:
        return [_values(line.rstrip("\r"), delimiter) for line in lines]
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True))
    return rows


def _values(line: str, delimiter: str) -> list[str]:
    if delimiter == BLANKS:
        return re.findall(r"[^ \t]+", line)
    return line.split(delimiter)


def _normal(block: bytes, delimiter: str) -> bytes:
    """Return lines that end in one newline each, without empty ones, and with blanks as one tab."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").removesuffix(b"\r")
    if delimiter == BLANKS:
        block = re.sub(rb"[ \t]+", b"\t", block)
        block = block.replace(b"\t\n", b"\n").replace(b"\n\t", b"\n").strip(b"\t")
    if not block.endswith(b"\n"):
        block += b"\n"
    if b"\n\n" in block or block.startswith(b"\n"):
        block = re.sub(rb"\n{2,}", b"\n", block).lstrip(b"\n")
    return block


def _columns(lines: bytes, mark: int, size: int, places: list[int]) -> list[pa.Array] | None:
    """Return columns of lines; None if one has another number of values.

    Args:
        lines: each ends in a newline.
        mark: the byte between values.
        size: values of a line.
        places: of the columns to return.
    """
    signs = np.frombuffer(lines, np.uint8)
    is_end = (signs == mark) | (signs == ord("\n"))
    ends = np.flatnonzero(is_end)
    found = signs[ends]
    last = found[size - 1 :: size]
    if len(ends) != size * len(last) or (last != ord("\n")).any():
        return None
    if np.count_nonzero(found == ord("\n")) != len(last):
        return None
    offsets = np.concatenate([[0], ends - np.arange(len(ends))])
    # An empty value is no value, as in a file with quotes.
    known = np.packbits(np.diff(offsets) > 0, bitorder="little")
    buffers = map(pa.py_buffer, (known, offsets, signs[~is_end]))
    values = pa.Array.from_buffers(pa.large_string(), len(ends), list(buffers))
    return [values.take(pa.array(np.arange(place, len(ends), size))) for place in places]
