"""What the readers of all file formats share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from hnmine.config.reading_options import AS_IT_IS, Reading
from hnmine.inputs.bad_rows import BadRows

BATCH_ROWS = 8192
LONGEST_VALUE = 1 << 28
"""Characters of a CSV value, bytes of a JSON line: beyond that, a quote was left open."""


@dataclass(frozen=True)
class Asked:
    """What a file is read for, and how the user wants it read.

    Attributes:
        kind: the kind of table, such as `corpus`; empty for other tables.
        roles: names of columns by convention, by role.
        required: roles that the table must have.
        given: columns by role as the user named them; numbers count the columns from 1.
        known: all names of columns by convention, of all kinds of tables.
        reading: how the user wants files read.
    """

    kind: str = ""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    given: Mapping[str, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    reading: Reading = AS_IT_IS


class Reader(ABC):
    """Reads one file; the caller names the file in whatever error a reader raises.

    Attributes:
        path: the file.
        types: of each column; several where it changes its type within the file.
        rows: how many the file has, bad lines included; None where that takes reading all of it.
        bad: lines that are no rows, left out of the batches.
        mixed: columns that hold values of several types.
        said: what the user should know of how the file is read.
    """

    rows: int | None = None
    bad = BadRows()
    mixed: Collection[str] = ()
    said: Sequence[str] = ()

    def __init__(self, path: Path, fields: Sequence[pa.Field]) -> None:
        self.path = path
        self.types: dict[str, list[pa.DataType]] = {}
        for one in fields:
            self.types.setdefault(one.name, []).append(one.type)

    @abstractmethod
    def batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns, at most `BATCH_ROWS` rows at once.

        Raises:
            ValueError: a row cannot be read.
        """


def refuse_twins(names: Sequence[str]) -> None:
    """Refuse two columns with one name."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"It has two columns named {name!r}.")
