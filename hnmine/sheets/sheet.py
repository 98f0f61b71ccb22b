"""Sheets: CSV or Parquet files of candidates with texts and a column for verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from hnmine.directories.candidates import Candidates
from hnmine.errors import InputError, UsageError
from hnmine.inputs.data_files import DataFile
from hnmine.inputs.spreadsheet_cells import as_cell
from hnmine.inputs.unchanged import explained
from hnmine.ragged import Ints
from hnmine.runner.atomic import replacing
from hnmine.runner.locks import file_lock
from hnmine.schema import RELEVANT
from hnmine.sheets.given_verdicts import Given, Key, note_on, settled, word_for
from hnmine.sheets.machine_verdicts import OWN

PERSON = "person"
"""Who gave a verdict, in the column `judge`; machine judges have names of their own."""

PAIR = ("query_id", "doc_id")
NEEDED = {*PAIR, "query", "document", "verdict"}
NUMBERS = {
    **dict.fromkeys(("relevance", "margin", "grade", "score", "verdict"), pa.float64()),
    "seed": pa.int64(),
}
SUFFIXES = (".csv", ".parquet")

CHARACTERS = 20_000
"""Length of a text in a sheet, at most."""


class Sheet:
    """A sheet on disk; each verdict is saved at once.

    Another review or an editor may change the file at the same time. So the file is read again
    before each save, and only the verdicts given here are put into it.

    Attributes:
        path: the file; its ending names the format.
        table: its rows; `verdict` is from 0 (not relevant) to 1, null without one. A row keeps its
            position here, whatever its position in the file.
    """

    def __init__(self, path: Path, table: pa.Table) -> None:
        """Hold the rows of a file; `save` writes them.

        Raises:
            UsageError: the file's ending names no format of sheets.
        """
        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(
                f"sheet: {path} does not end in {' or '.join(SUFFIXES)}.",
                fix="Choose one of these endings; it names the format of the sheet.",
            )
        self.path, self.table = path, table
        self._given: dict[Key, Given] = {}
        self._aside: Path | None = None

    @classmethod
    def open(cls, path: Path) -> Sheet:
        """Read a sheet, with all columns that a person may have added.

        Raises:
            InputError: the file cannot be read, or is not a sheet.
        """
        file = DataFile.open(path)
        if missing := NEEDED - file.types.keys():
            raise InputError(
                f"{path} is not a sheet.",
                why=f"It has no column {' or '.join(sorted(missing))}.",
                fix="Pass another file with --sheet.",
            )
        with explained(path):
            batches = list(file.batches(list(file.types)))
            names = list(file.types)
            columns = {
                name: pa.chunked_array([batch[name] for batch in batches], type=kind)
                for name, (kind, *_) in zip(names, file.types.values(), strict=True)
            }
            table = pa.table(columns)
            for name in names:
                if kind := pa.float64() if name.startswith(OWN) else NUMBERS.get(name):
                    numbers = columns[name].cast(pa.float64())
                    known = pc.if_else(pc.is_nan(numbers), None, numbers).cast(kind)
                    table = table.set_column(names.index(name), name, known)
        for row, verdict in enumerate(table["verdict"].to_pylist()):
            if verdict is not None and not 0 <= verdict <= 1:
                raise InputError(
                    f"{path}: the verdict on query {table['query_id'][row]}, document "
                    f"{table['doc_id'][row]} is {verdict:g}.",
                    why="Verdicts range from 0 (not relevant) to 1 (relevant).",
                    fix="Correct it, or empty the cell.",
                )
        return cls(path, table)

    @classmethod
    def join(cls, path: Path, rows: pa.Table) -> Sheet:
        """Add rows to the sheet at a path, which may be new, and save it.

        Raises:
            HnmineError: the file is not a sheet, or another process is writing it.
        """
        with file_lock(path):
            sheet = cls.open(path) if path.exists() else cls(path, rows)
            sheet.add(rows)
            sheet._write(sheet.table)
        return sheet

    @classmethod
    @contextmanager
    def changing(cls, path: Path) -> Iterator[Sheet]:
        """Read a sheet that no other process can write meanwhile, and write its table again.

        Raises:
            HnmineError: the file is not a sheet, or another process is writing it.
        """
        with file_lock(path):
            sheet = cls.open(path)
            yield sheet
            sheet._write(sheet.table)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query id and the document id of each row."""
        return list(zip(*(self.table[name].to_pylist() for name in PAIR), strict=True))

    @property
    def verdicts(self) -> list[float | None]:
        """The verdict of each row; None without one."""
        found: list[float | None] = self.table["verdict"].to_pylist()
        return found

    @property
    def keys(self) -> list[Key]:
        """The identity of each row: its pair, and the number of earlier rows with the same pair."""
        before: Counter[tuple[str, str]] = Counter()
        keys = []
        for pair in self.pairs:
            keys.append((*pair, before[pair]))
            before[pair] += 1
        return keys

    def add(self, rows: pa.Table) -> None:
        """Add rows with new pairs; a column that one side lacks is null there."""
        there = set(self.pairs)
        pairs = zip(*(rows[name].to_pylist() for name in PAIR), strict=True)
        new = rows.filter(pa.array([pair not in there for pair in pairs], pa.bool_()))
        self.table = pa.concat_tables([self.table, new], promote_options="permissive")

    def judge(self, row: int, verdict: float | None) -> list[str]:
        """Set a verdict, or remove it with None, and save the sheet.

        Returns:
            Changes by others to rows with a verdict given here, a sentence each.

        Raises:
            HnmineError: the file is not a sheet any more (the verdicts are then saved in a file
                beside it, which the error names), or another process is writing it.
        """
        return self._merge(row, verdict)

    def settle(self) -> list[str]:
        """Save all verdicts given here; returns and raises as `judge` does."""
        return self._merge(None, None)

    def save(self) -> None:
        """Write a new file, whole or not at all.

        Raises:
            InputError: a file that is not a sheet exists at the path.
            UsageError: a sheet with verdicts exists at the path.
        """
        with file_lock(self.path):
            if self.path.exists() and (judged := count(Sheet.open(self.path))["judged"]):
                raise UsageError(
                    f"{self.path} exists already, with {judged:,} verdicts.",
                    why="They would be lost.",
                    fix="Pass another file with --sheet, or move this one.",
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
            given, notes = settled(before, theirs)
            if row is not None and now:
                last, found = shown[row], theirs.get(now, shown[row])
                if found not in (last, verdict):
                    notes.append(
                        note_on(now, found, f"{word_for(verdict)}, given last, replaces that")
                    )
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
            names = there.table.column_names
            values = pa.array(verdicts, pa.float64())
            table = there.table.set_column(names.index("verdict"), "verdict", values)
            if "judge" in names:
                judges = there.table["judge"].cast(pa.string()).to_pylist()
                for key, mine in given.items():
                    judges[places[key]] = None if mine.verdict is None else PERSON
                column = pa.array(judges, pa.string())
                table = table.set_column(names.index("judge"), "judge", column)
            if row is not None or gone or verdicts[: len(theirs)] != list(theirs.values()):
                self._write(table)
        known = set(keys)
        new = [n for key, n in places.items() if key not in known]
        self.table = table.take([places[key] for key in keys] + new)
        self._given = given
        return notes

    def _on_disk(self) -> Sheet:
        """Read the file again; a deleted file counts as unchanged.

        Raises:
            InputError: the file is not a sheet any more.
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
                fix=f"The verdicts of this review are saved in {kept}. Copy it to {self.path} to "
                "continue.",
            ) from error

    def _keep_aside(self) -> Path:
        """Write the rows to a new file beside the sheet."""
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


def _as_cells(table: pa.Table) -> pa.Table:
    """Return a table whose texts a spreadsheet program does not take for formulas."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            cells = [value and as_cell(value) for value in table[place].to_pylist()]
            table = table.set_column(place, field.name, pa.array(cells, field.type))
    return table


def with_texts(candidates: Candidates, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Return rows of a sheet: ids, texts of query, first positive and document, and no verdicts.

    Args:
        candidates: that hold the texts.
        columns: `query_id`, `doc_id`, and further columns of the sheet.
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
    judged = {"verdict": verdict, "judge": pa.nulls(len(query), pa.string())}
    return pa.table({name: columns[name] for name in PAIR} | texts | known | judged)


def _readable(texts: pa.Array) -> pa.Array:
    long = pc.greater(pc.utf8_length(texts), CHARACTERS)
    if not pc.any(long).as_py():
        return texts
    start = pc.utf8_slice_codeunits(texts, 0, CHARACTERS)
    more = pa.scalar(" …", texts.type)
    return pc.if_else(
        long, pc.binary_join_element_wise(start, more, pa.scalar("", texts.type)), texts
    )


def _firsts(offsets: Ints, rows: Ints) -> Ints:
    """Return the first row of each list.

    Raises:
        InputError: a query of a candidate has no positive.
    """
    if (np.diff(offsets) == 0).any():
        raise InputError(
            "A query to judge has no known positive.",
            why="The mined directory and its candidates do not belong together.",
            fix="Pass the right candidates with --candidates, or filter again.",
        )
    return np.asarray(rows)[offsets[:-1]]


def beside(directory: Path, ending: str) -> Path:
    """Return a path beside a directory, whose files a rerun may replace."""
    return directory.parent / f"{directory.resolve().name}{ending}"


def count(sheet: Sheet) -> dict[str, int]:
    """Count the rows of a sheet, those judged, and those judged relevant."""
    verdict = sheet.table["verdict"]
    relevant = pc.sum(pc.greater_equal(verdict, RELEVANT).cast(pa.int64())).as_py() or 0
    return {
        "rows": sheet.table.num_rows,
        "judged": sheet.table.num_rows - verdict.null_count,
        "relevant": relevant,
    }
