"""A sheet: candidates with their texts, and a column for a person's verdicts; CSV or Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hnmine.directories.candidates import Candidates
from hnmine.errors import InputError, UsageError
from hnmine.inputs.data_files import DataFile
from hnmine.inputs.spreadsheet_cells import as_cell
from hnmine.inputs.unchanged import explained
from hnmine.runner.atomic import replacing
from hnmine.runner.locks import file_lock
from hnmine.schema import RELEVANT

EVEN = "even"
"""Drawn so that each negative was as likely as any other; what else is drawn was doubtful."""

PAIR = ("query_id", "doc_id")
TEXTS = ("query", "positive", "document")
NEEDED = {*PAIR, "query", "document", "verdict"}
NUMBERS = ("p_relevant", "margin", "verdict")
SUFFIXES = (".csv", ".parquet")

Key = tuple[str, str, int]

CHARACTERS = 20_000
"""Of a text in a sheet, at most."""


@dataclass(frozen=True)
class Given:
    """A verdict that was given here; `seen` holds all that the sheet had for the row before."""

    verdict: float | None
    seen: frozenset[float | None]


class Sheet:
    """A sheet on disk, of which every verdict is on the disk at once.

    Others may change the file at the same time, in a review or in an editor: before each verdict is
    saved, the file is read again, and only the verdicts that were given here are put into it.

    Attributes:
        path: the file, whose ending says its format.
        table: its rows; `verdict` is from 0 (not relevant) to 1, null where nobody has judged. A
            row keeps its place here, whatever its place in the file.
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
        self._given: dict[Key, Given] = {}
        self._aside: Path | None = None

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
                numbers = columns[name].cast(pa.float64())
                known = pc.if_else(pc.is_nan(numbers), None, numbers)
                table = table.set_column(names.index(name), name, known)
        return cls(path, table)

    @classmethod
    def join(cls, path: Path, rows: pa.Table) -> Sheet:
        """Add rows to the sheet at a path, or begin it, and save it.

        Raises:
            HnmineError: what is at the path is no sheet, or another process is writing it.
        """
        with file_lock(path):
            sheet = cls.open(path) if path.exists() else cls(path, rows)
            sheet.add(rows)
            sheet._write(sheet.table)
        return sheet

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query id and the document id of each row."""
        return list(zip(*(self.table[name].to_pylist() for name in PAIR), strict=True))

    @property
    def verdicts(self) -> list[float | None]:
        """The verdict of each row; None where there is none."""
        found: list[float | None] = self.table["verdict"].to_pylist()
        return found

    @property
    def keys(self) -> list[Key]:
        """What tells a row wherever it stands: its pair, and how many rows of that came before."""
        before: Counter[tuple[str, str]] = Counter()
        keys = []
        for pair in self.pairs:
            keys.append((*pair, before[pair]))
            before[pair] += 1
        return keys

    def add(self, rows: pa.Table) -> None:
        """Add rows whose pairs are not there yet; columns that either lacks are null there."""
        there = set(self.pairs)
        pairs = zip(*(rows[name].to_pylist() for name in PAIR), strict=True)
        new = rows.filter(pa.array([pair not in there for pair in pairs], pa.bool_()))
        self.table = pa.concat_tables([self.table, new], promote_options="permissive")

    def judge(self, row: int, verdict: float | None) -> list[str]:
        """Set a verdict, or take it back, once the sheet is saved so.

        Returns:
            What others changed meanwhile where a verdict was given here, a sentence each.

        Raises:
            HnmineError: what is at the path now is no sheet; the verdicts until now are kept in a
                file beside it, which the error names. Or another process is writing it.
        """
        return self._merge(row, verdict)

    def settle(self) -> list[str]:
        """Make sure that all verdicts given here are in the file; return and raise as `judge`."""
        return self._merge(None, None)

    def save(self) -> None:
        """Write a new file, whole or not at all.

        Raises:
            InputError: another file is there, which is no sheet.
            UsageError: a sheet is there, and somebody has judged in it.
        """
        with file_lock(self.path):
            if self.path.exists() and (judged := count(Sheet.open(self.path))["judged"]):
                raise UsageError(
                    f"{self.path} is there already, with {judged:,} verdicts.",
                    why="They would be lost.",
                    fix="Name another file with --sheet, or move this one.",
                )
            self._write(self.table)

    def _merge(self, row: int | None, verdict: float | None) -> list[str]:
        keys, shown = self.keys, self.verdicts
        with file_lock(self.path):
            there = self._on_disk()
            theirs = dict(zip(there.keys, there.verdicts, strict=True))
            before = dict(self._given)
            now = keys[row] if row is not None else None
            latest = before.pop(now, None) if now else None
            given, notes = _settled(before, theirs)
            if row is not None and now:
                last, found = shown[row], theirs.get(now, shown[row])
                if found not in (last, verdict):
                    notes.append(_note(now, found, f"{_word(verdict)}, given last, replaces that"))
                seen = latest.seen if latest else frozenset({None})
                given[now] = Given(verdict, seen | {last, found, verdict})
            gone = [n for n, key in enumerate(keys) if key not in theirs]
            there.table = pa.concat_tables(
                [there.table, self.table.take(pa.array(gone, pa.int64()))],
                promote_options="permissive",
            )
            places = {key: n for n, key in enumerate(there.keys)}
            verdicts = there.verdicts
            for key, mine in given.items():
                verdicts[places[key]] = mine.verdict
            place = there.table.column_names.index("verdict")
            table = there.table.set_column(place, "verdict", pa.array(verdicts, pa.float64()))
            if row is not None or gone or verdicts[: len(theirs)] != list(theirs.values()):
                self._write(table)
        known = set(keys)
        new = [n for key, n in places.items() if key not in known]
        self.table = table.take([places[key] for key in keys] + new)
        self._given = given
        return notes

    def _on_disk(self) -> Sheet:
        """Read the file again; where it is gone, it is as it was here.

        Raises:
            InputError: it is no sheet any more.
        """
        if not self.path.exists():
            return Sheet(self.path, self.table)
        try:
            return Sheet.open(self.path)
        except InputError as error:
            if not self._given:
                raise
            kept = self._keep_aside()
            raise InputError(
                error.what,
                why=error.why,
                fix=f"The verdicts of this review until now are kept in {kept}. Put a sheet at "
                f"{self.path} again to go on.",
            ) from error

    def _keep_aside(self) -> Path:
        """Write what is known here to a new file beside the sheet."""
        number = 1
        while self._aside is None:
            place = self.path.with_stem(f"{self.path.stem}-kept-{number}")
            self._aside = None if place.exists() else place
            number += 1
        self._write(self.table, self._aside)
        return self._aside

    def _write(self, table: pa.Table, path: Path | None = None) -> None:
        with replacing((path or self.path).resolve()) as temporary:
            if self.path.suffix.lower() == ".parquet":
                pq.write_table(table, temporary)
            else:
                pa.csv.write_csv(_as_cells(table), temporary)


def _settled(
    given: Mapping[Key, Given], theirs: Mapping[Key, float | None]
) -> tuple[dict[Key, Given], list[str]]:
    """Return those of the verdicts given here that stand, and what is to be said of the others.

    A value that was in the sheet before comes from an older copy, which an editor saved; any other
    is a verdict that somebody gave later.
    """
    stand, notes = dict(given), []
    for key, mine in given.items():
        found = theirs.get(key)
        if found == mine.verdict:
            continue
        if found in mine.seen:
            notes.append(_note(key, found, f"{_word(mine.verdict)}, given here, is put back"))
        else:
            notes.append(_note(key, found, f"it replaces {_word(mine.verdict)}, given here before"))
            del stand[key]
    return stand, notes


def _note(key: Key, found: float | None, outcome: str) -> str:
    return f"{key[0]}, {key[1]}: the sheet was changed meanwhile to {_word(found)}; {outcome}."


def _word(verdict: float | None) -> str:
    return "no verdict" if verdict is None else f"verdict {verdict:g}"


def _as_cells(table: pa.Table) -> pa.Table:
    """Return a table in whose texts a spreadsheet program sees no formula."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            cells = [value and as_cell(value) for value in table[place].to_pylist()]
            table = table.set_column(place, field.name, pa.array(cells, field.type))
    return table


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
        "query": _readable(queries.texts.text_array(query)),
        "positive": _readable(documents.text_array(_firsts(offsets, positives))),
        "document": _readable(documents.text_array(document)),
    }
    known = {name: values for name, values in columns.items() if name not in PAIR}
    verdict = pa.nulls(len(query), pa.float64())
    return pa.table({name: columns[name] for name in PAIR} | texts | known | {"verdict": verdict})


def _readable(texts: pa.Array) -> pa.Array:
    """Return texts, of those that nobody would read to the end the beginning."""
    long = pc.greater(pc.utf8_length(texts), CHARACTERS)
    if not pc.any(long).as_py():
        return texts
    start = pc.utf8_slice_codeunits(texts, 0, CHARACTERS)
    more = pa.scalar(" …", texts.type)
    return pc.if_else(
        long, pc.binary_join_element_wise(start, more, pa.scalar("", texts.type)), texts
    )


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
