"""A sheet: candidates with their texts, and a column for a person's verdicts; CSV or Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hnmine.candidates import Candidates
from hnmine.data.files import DataFile, explained
from hnmine.errors import InputError, UsageError
from hnmine.schema import RELEVANT
from hnmine.tasks.atomic import replacing

EVEN = "even"
"""Drawn so that each negative was as likely as any other; what else is drawn was doubtful."""

PAIR = ("query_id", "doc_id")
TEXTS = ("query", "positive", "document")
NEEDED = {*PAIR, "query", "document", "verdict"}
NUMBERS = ("p_relevant", "margin", "verdict")
SUFFIXES = (".csv", ".parquet")


class Sheet:
    """A sheet on disk, of which every change is on the disk at once.

    Attributes:
        path: the file, whose ending says its format.
        table: its rows; `verdict` is from 0 (not relevant) to 1, null where nobody has judged.
    """

    def __init__(self, path: Path, table: pa.Table) -> None:
        """Hold rows that belong in a file; `save` writes them.

        Raises:
            UsageError: the file's ending is none of a sheet.
        """
        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(
                f"sheet: {path} does not end in {' or '.join(SUFFIXES)}.",
                fix="The ending says the format of the sheet.",
            )
        self.path, self.table = path, table

    @classmethod
    def open(cls, path: Path) -> Sheet:
        """Read a sheet, with all columns that a person may have added.

        Raises:
            InputError: it cannot be read, or is no sheet.
        """
        file = DataFile.open(path)
        if missing := NEEDED - file.types.keys():
            raise InputError(
                f"{path} is no sheet.",
                why=f"It has no column {' or '.join(sorted(missing))}.",
                fix="Name another file with --sheet.",
            )
        with explained(path):
            batches = list(file.batches(list(file.types)))
            names = list(file.types)
            columns = {
                name: pa.chunked_array([batch[name] for batch in batches], type=kind)
                for name, (kind, *_) in zip(names, file.types.values(), strict=True)
            }
            table = pa.table(columns)
            for name in set(NUMBERS) & set(names):
                place = names.index(name)
                table = table.set_column(place, name, columns[name].cast(pa.float64()))
        return cls(path, table)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query id and the document id of each row."""
        return list(zip(*(self.table[name].to_pylist() for name in PAIR), strict=True))

    @property
    def verdicts(self) -> list[float | None]:
        """The verdict of each row; None where there is none."""
        found: list[float | None] = self.table["verdict"].to_pylist()
        return found

    def add(self, rows: pa.Table) -> None:
        """Add rows whose pairs are not there yet; columns that either lacks are null there."""
        there = set(self.pairs)
        pairs = zip(*(rows[name].to_pylist() for name in PAIR), strict=True)
        new = rows.filter(pa.array([pair not in there for pair in pairs], pa.bool_()))
        self.table = pa.concat_tables([self.table, new], promote_options="permissive")

    def judge(self, row: int, verdict: float | None) -> None:
        """Set a verdict, or take it back, once the sheet is saved so."""
        verdicts = self.verdicts
        verdicts[row] = verdict
        place = self.table.column_names.index("verdict")
        column = pa.array(verdicts, pa.float64())
        table = self.table.set_column(place, "verdict", column)
        self._write(table)
        self.table = table

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self._write(self.table)

    def _write(self, table: pa.Table) -> None:
        with replacing(self.path) as temporary:
            if self.path.suffix.lower() == ".parquet":
                pq.write_table(table, temporary)
            else:
                pa.csv.write_csv(table, temporary)


def with_texts(candidates: Candidates, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Return the rows of a sheet: ids, texts, what else is known, and no verdicts yet.

    Args:
        candidates: where the texts are.
        columns: `query_id`, `doc_id` and what else is known of each row. The texts are those of the
            query, of its first known positive, and of the document.
    """
    queries, documents = candidates.queries, candidates.index.documents
    query, document = (
        where.find_ids(columns[name].to_pylist())
        for where, name in zip((queries.texts, documents), PAIR, strict=True)
    )
    offsets, positives = queries.positives(query)
    texts = {
        "query": queries.texts.text_array(query),
        "positive": documents.text_array(_firsts(offsets, positives)),
        "document": documents.text_array(document),
    }
    known = {name: values for name, values in columns.items() if name not in PAIR}
    verdict = pa.nulls(len(query), pa.float64())
    return pa.table({name: columns[name] for name in PAIR} | texts | known | {"verdict": verdict})


def _firsts(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first of each list.

    Raises:
        InputError: a query of a candidate has no positive.
    """
    if (np.diff(offsets) == 0).any():
        raise InputError(
            "A query to be judged has no known positive.",
            why="The mined directory and its candidates do not belong together.",
            fix="Give the right candidates with --candidates, or filter again.",
        )
    return np.asarray(rows)[offsets[:-1]]


def count(sheet: Sheet) -> dict[str, int]:
    """Count the rows of a sheet, those judged, and those judged relevant."""
    verdict = sheet.table["verdict"]
    relevant = pc.sum(pc.greater_equal(verdict, RELEVANT).cast(pa.int64())).as_py() or 0
    return {
        "rows": sheet.table.num_rows,
        "judged": sheet.table.num_rows - verdict.null_count,
        "relevant": relevant,
    }
