"""What is asked of a file format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

BATCH_ROWS = 8192
LONGEST_VALUE = 1 << 28
"""Characters of a CSV value, bytes of a JSON line: beyond that, a quote was left open."""


MOST_EXAMPLES = 10


@dataclass
class BadLines:
    """Lines that are no rows: how many for each reason, and what is wrong with the first."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts.total()

    def add(self, line: int, reason: str, what: str) -> None:
        """Record one.

        Args:
            line: its number in the file.
            reason: what it shares with others, such as `that are no UTF-8`.
            what: is wrong with it.
        """
        self.counts[reason] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(f"Line {line}: {what}.")


@dataclass(frozen=True)
class Asked:
    """What a file is read for, and how the user wants it read.

    Attributes:
        kind: the kind of table, such as `corpus`; empty if it is none.
        roles: names of columns by convention, by role.
        required: roles that the table must have.
        given: columns by role as the user named them; numbers count the columns from 1.
        known: all names of columns by convention, of all kinds of tables.
        quoting: `auto`, `csv` or `none`.
        encoding: of text files without a byte order mark.
        splits: the splits to read, where there are several.
    """

    kind: str = ""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    given: Mapping[str, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    quoting: str = "auto"
    encoding: str = "utf-8"
    splits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """The columns of a file.

    Attributes:
        fields: a column that changes its type half-way has one for each.
        rows: how many the file has, bad lines included; None where that takes reading all of it.
        bad: lines that are no rows; they are left out where the others are read.
        mixed: columns that hold values of several types.
    """

    fields: list[pa.Field]
    rows: int | None = None
    bad: BadLines = field(default_factory=BadLines)
    mixed: set[str] = field(default_factory=set)


class Format(Protocol):
    """Reads the files of one format; whatever a reader raises is explained by the caller."""

    def columns(self, path: Path) -> Columns:
        """Find the columns of a file.

        Raises:
            ValueError: it is damaged, or two of its columns have one name.
        """
        ...

    def batches(self, path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns, at most `BATCH_ROWS` rows at once.

        Raises:
            ValueError: a row cannot be read.
        """
        ...


def refuse_twins(names: list[str]) -> None:
    """Refuse two columns with one name.

    Raises:
        ValueError: names a column.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"It has two columns named {name!r}.")
