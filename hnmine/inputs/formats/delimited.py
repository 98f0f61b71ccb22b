"""CSV, TSV and other text tables; a row that does not fit the first is an error."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from hnmine.inputs.formats.header_line import find_names
from hnmine.inputs.formats.quoting import Quoting, prove, refuse_swallowed
from hnmine.inputs.formats.table_format import (
    BATCH_ROWS,
    LONGEST_VALUE,
    Asked,
    Columns,
    refuse_twins,
)
from hnmine.inputs.formats.text import line_blocks
from hnmine.inputs.spreadsheet_cells import from_cell, is_sheet

BLANKS = " "
"""As a delimiter: any number of blanks and tabs."""

BLANK_DELIMITED = {"qrels", "run"}
"""Tables whose values hold no blanks: TREC separates them by blanks."""

SAMPLE_BYTES, SAMPLE_ROWS = 1 << 18, 1000


@dataclass(frozen=True)
class Delimited:
    """Values between delimiters, one row a line or quoted as in RFC 4180.

    Attributes:
        delimiters: that the files may have, the usual one first.
        delimiter: that of the file.
        quoted: values may be quoted.
        proved: a quoted value over several lines must not look like several rows.
        header: the first line names the columns.
        names: of the columns.
        encoding: of a file without a byte order mark.
        said: what the user should know of how the file is read.
    """

    delimiters: str
    delimiter: str = ","
    quoted: bool = True
    proved: bool = False
    header: bool = True
    names: tuple[str, ...] = ()
    encoding: str = "utf-8"
    said: tuple[str, ...] = ()

    def fit(self, path: Path, asked: Asked) -> Delimited:
        """Return the reader that fits a file.

        Raises:
            InputError: its encoding, quoting or header cannot be told or are not those asked for.
            ValueError: it is empty or damaged.
        """
        fitted = replace(self, encoding=asked.encoding)
        # Two blocks, because a last line without an end is one of its own.
        head = b"".join(block for _, block in islice(fitted._blocks(path, SAMPLE_BYTES), 2))
        lines = [line for line in head.decode().split("\n") if line.strip("\r")][:SAMPLE_ROWS]
        if not lines:
            raise ValueError("The file is empty.")
        delimiter = fitted._find_delimiter(lines, asked)
        fitted = replace(fitted, delimiter=delimiter)
        quoting = fitted._find_quoting(path, asked)
        proved = delimiter == "\t" and asked.quoting == "auto" and not quoting.all_quoted
        fitted = replace(fitted, quoted=quoting.quoted, proved=proved)
        rows = fitted._sample(lines)
        names, there = find_names(str(path), rows, asked)
        said = [quoting.said] if quoting.said else []
        if delimiter != self.delimiters[0] and delimiter != BLANKS:
            said.append(f"{path}: values are separated by {delimiter!r}.")
        if not there and "iteration" not in names:  # TREC's files never have one.
            said.append(f"{path} has no header: its columns are taken as {', '.join(names)}.")
        return replace(fitted, names=tuple(names), header=there, said=tuple(said))

    def columns(self, path: Path) -> Columns:
        """Find the columns of a file."""
        refuse_twins(list(self.names))
        return Columns([pa.field(name, pa.large_string()) for name in self.names])

    def batches(self, path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns."""
        places = [self.names.index(name) for name in names or self.names[:1]]
        read = self._quoted if self.quoted else self._plain
        for columns in read(path, places):
            if is_sheet(self.names):
                columns = [
                    pa.array(
                        [value and from_cell(value) for value in column.to_pylist()], column.type
                    )
                    for column in columns
                ]
            yield pa.RecordBatch.from_arrays(columns, names=names or self.names[:1]).select(names)

    def _blocks(self, path: Path, size: int | None = None) -> Iterator[tuple[int, bytes]]:
        blocks = partial(line_blocks, path, self.encoding)
        return blocks(size) if size else blocks()

    def _find_delimiter(self, lines: list[str], asked: Asked) -> str:
        """Return the first delimiter that gives all lines the same number of values, over one."""
        choice = self.delimiters
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
        first = (one for one in choice if len(_split(lines[:1], one, False)[0]) > 1)
        return next(first, choice[0])

    def _find_quoting(self, path: Path, asked: Asked) -> Quoting:
        if self.delimiter == BLANKS or asked.quoting == "none":
            return Quoting(False)
        if asked.quoting == "csv" or self.delimiter != "\t":
            return Quoting(True)
        return prove(path, partial(self._blocks, path), self.delimiter)

    def _sample(self, lines: list[str]) -> list[list[str]]:
        """Return the first rows, those with another number of values than the first left out."""
        rows = _split(lines, self.delimiter, self.quoted)
        if not rows:
            raise ValueError("Line 1: a quoted value is malformed, or its quote is never closed.")
        return [row for row in rows if len(row) == len(rows[0])]

    def _plain(self, path: Path, places: list[int]) -> Iterator[list[pa.Array]]:
        """Yield columns of a file without quoting, split by Arrow and NumPy."""
        header = self.header
        for number, block in self._blocks(path):
            lines = _normal(block, self.delimiter)
            if header and lines:
                lines, header = lines[lines.index(b"\n") + 1 :], False
            if not lines:
                continue
            mark = ord("\t" if self.delimiter == BLANKS else self.delimiter)
            columns = _columns(lines, mark, len(self.names), places)
            if columns is None:
                raise self._misfit(number, block)
            for start in range(0, len(columns[0]), BATCH_ROWS):
                yield [column.slice(start, BATCH_ROWS) for column in columns]

    def _misfit(self, first: int, block: bytes) -> ValueError:
        for number, line in enumerate(block.decode().split("\n"), first):
            if line.strip("\r"):
                size = len(_split([line], self.delimiter, False)[0])
                if size != len(self.names):
                    return self._wrong_size(number, size)
        raise AssertionError(first)

    def _wrong_size(self, line: int, size: int) -> ValueError:
        than = "header" if self.header else "first line"
        return ValueError(f"Line {line}: It has {size} columns, the {than} has {len(self.names)}.")

    def _quoted(self, path: Path, places: list[int]) -> Iterator[list[pa.Array]]:
        """Yield columns of a file with quoted values.

        Python's parser, because Arrow's takes a quote that is never closed for a value that holds
        the rest of the file.
        """
        rows = self._rows(path)
        if self.header:
            next(rows)
        while block := list(islice(rows, BATCH_ROWS)):
            # What is quoted and what is not cannot be told apart here: an empty value is no value.
            columns = list(zip(*block, strict=True))
            yield [
                pa.array([value or None for value in columns[place]], pa.large_string())
                for place in places
            ]

    def _rows(self, path: Path) -> Iterator[list[str]]:
        """Yield the rows, the header too."""
        csv.field_size_limit(LONGEST_VALUE)
        lines = (_lines(block) for _, block in self._blocks(path))
        reader = csv.reader(chain.from_iterable(lines), delimiter=self.delimiter, strict=True)
        start = 1
        try:
            for row in reader:
                if row and len(row) != len(self.names):
                    raise self._wrong_size(reader.line_num, len(row))
                if self.proved and reader.line_num > start:
                    refuse_swallowed(path, start, row, self.delimiter)
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


def _split(lines: list[str], delimiter: str, quoted: bool) -> list[list[str]]:
    """Split lines into rows; quoted values only up to the first that is malformed or cut off."""
    if delimiter == BLANKS:
        return [line.split() for line in lines]
    if not quoted:
        return [line.rstrip("\r").split(delimiter) for line in lines]
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True))
    return rows


def _normal(block: bytes, delimiter: str) -> bytes:
    """Return lines that end in one newline each, none of them empty, blanks as one tab."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").removesuffix(b"\r")
    if delimiter == BLANKS:
        block = block.replace(b" ", b"\t")
        while b"\t\t" in block:
            block = block.replace(b"\t\t", b"\t")
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
        size: values in each line.
        places: the columns to return.
    """
    signs = np.frombuffer(lines, np.uint8)
    is_end = (signs == mark) | (signs == ord("\n"))
    ends = np.flatnonzero(is_end)
    if len(ends) % size:
        return None
    found = signs[ends].reshape(-1, size)
    if (found[:, :-1] != mark).any() or (found[:, -1] != ord("\n")).any():
        return None
    offsets = np.concatenate([[0], ends - np.arange(len(ends))])
    # What is quoted and what is not cannot be told apart here: an empty value is no value.
    known = np.packbits(np.diff(offsets) > 0, bitorder="little")
    values = pa.Array.from_buffers(
        pa.large_string(),
        len(ends),
        [pa.py_buffer(known), pa.py_buffer(offsets), pa.py_buffer(signs[~is_end])],
    )
    return [values.take(pa.array(np.arange(place, len(ends), size))) for place in places]


def _lines(block: bytes) -> Iterator[str]:
    """Yield lines with their ends."""
    return io.TextIOWrapper(io.BytesIO(block), "utf-8", newline="")
