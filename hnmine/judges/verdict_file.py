"""Verdicts of a person or of another model, read from a file."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.directories.same_pairs import SamePairs
from hnmine.errors import InputError
from hnmine.inputs.nearest import HasIds, near
from hnmine.inputs.table_reader import Table
from hnmine.inputs.values import as_strings
from hnmine.runner.incidents import note
from hnmine.runner.run_directory import Counts
from hnmine.runner.task_share import Share

DRAWN, SEED, JUDGE = "drawn", "seed", "judge"
"""Columns of a sheet: how each row was drawn, the seed of that draw, and who judged it."""

PERSON = (None, "", "person")
"""Values of `judge` where a person judged."""


class VerdictFile:
    """Scores judged pairs by their relevance from 0 to 1."""

    column = "verdict"

    def __init__(self, candidates: Candidates, path: str) -> None:
        self.candidates = candidates
        self.table = Table.open("qrels", path)

    @classmethod
    def open(
        cls, candidates: Candidates, path: str, settings: FilterSettings, column: str
    ) -> VerdictFile:
        """Open the file; its column has a name of its own, which a rule refers to."""
        return VerdictFile(candidates, path)

    def plan(self) -> dict[str, Any]:
        """Return a hash of the file."""
        return {"verdicts": self.table.fingerprint()}

    def compute(self, *, progress: bool, share: Share) -> Counts:
        """Read the verdicts."""
        return {"verdicts": len(self._verdicts)}

    def read(self, part: int) -> NDArray[np.float32]:
        """Return the verdicts of one part, row by row; NaN for pairs that were not judged."""
        table = self.candidates.read(part, ["query_row", "doc_row"])
        rows = (table[name].to_numpy() for name in ("query_row", "doc_row"))
        pairs = SamePairs.among(self.candidates).of_rows(*rows)
        return np.array([self._verdicts.get(pair, np.nan) for pair in pairs], dtype=np.float32)

    @cached_property
    def _verdicts(self) -> dict[tuple[str, str], float]:
        verdicts = read_verdicts(self.table)
        say_if_unknown(self.table.path, verdicts, self.candidates.queries.texts, 0)
        say_if_unknown(self.table.path, verdicts, self.candidates.index.documents, 1)
        return SamePairs.among(self.candidates).highest(verdicts)


def say_if_unknown(
    path: str, judged: Collection[tuple[str, str]], among: HasIds | Collection[str], end: int
) -> None:
    """Note that no judgement is about a known query or document, with ids similar to the first.

    Args:
        path: of the judgements.
        judged: pairs of a query id and a document id.
        among: the known queries or documents, or their ids.
        end: 0 to check the queries of the pairs, 1 for the documents.
    """
    ids = [pair[end] for pair in judged]
    known = among if isinstance(among, Collection) else None
    found = any(one in known for one in ids) if known else (among.find_ids(ids) >= 0).any()  # type: ignore[union-attr]
    if ids and not found:
        what = ("query", "document")[end]
        similar = near(ids[0], among, "there is")
        note(f"{path}: none of its {what} ids is known here. One is {ids[0]!r}{similar}")


def read_drawn(table: Table) -> dict[tuple[str, str], tuple[str | None, int | None]]:
    """Return how each pair of a sheet was drawn, and the seed, by (query id, document id).

    Args:
        table: of the kind `qrels`; without the column `drawn` the result is empty.
    """
    found: dict[tuple[str, str], tuple[str | None, int | None]] = {}
    for _, batch in table.batches() if DRAWN in table.metadata else ():
        queries, documents, drawn = (
            as_strings(batch[name], name, table.path).to_pylist()
            for name in (table.columns["query_id"], table.columns["corpus_id"], DRAWN)
        )
        seeds: list[Any] = [None] * len(drawn)
        if SEED in table.metadata:
            seeds = as_strings(batch[SEED], SEED, table.path).to_pylist()
        given = [int(float(one)) if _is_number(one) else None for one in seeds]
        rows = zip(queries, documents, drawn, given, strict=True)
        found |= {(query, doc): (how, seed) for query, doc, how, seed in rows}
    return found


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False


def read_judges(table: Table) -> dict[tuple[str, str], str]:
    """Return the machine that judged each pair of a sheet, by (query id, document id).

    Args:
        table: of the kind `qrels`; without the column `judge` the result is empty.
    """
    found: dict[tuple[str, str], str] = {}
    for _, batch in table.batches() if JUDGE in table.metadata else ():
        queries, documents, judges = (
            as_strings(batch[name], name, table.path).to_pylist()
            for name in (table.columns["query_id"], table.columns["corpus_id"], JUDGE)
        )
        rows = zip(queries, documents, judges, strict=True)
        found |= {(query, doc): judge for query, doc, judge in rows if judge not in PERSON}
    return found


def read_grades(table: Table) -> dict[tuple[str, str], float]:
    """Return grades by (query id, document id); infinity for judgements without grades.

    Args:
        table: of the kind `qrels`; rows with a null grade are left out.

    Raises:
        InputError: a grade is not finite.
    """
    return _read(table, -sys.float_info.max, sys.float_info.max, "Grades are finite numbers.")


def read_verdicts(table: Table) -> dict[tuple[str, str], float]:
    """Return verdicts by (query id, document id); the last one of several for a pair.

    Args:
        table: of the kind `qrels`, with a score; rows without a score are left out.

    Raises:
        InputError: the table has no score, or one is not from 0 to 1.
    """
    if "score" not in table.columns:
        raise InputError(
            f"{table.path} holds no verdicts.",
            why="It has no column named verdict or score.",
            fix="Add one, from 0 (not relevant) to 1 (relevant).",
        )
    return _read(table, 0.0, 1.0, "Verdicts range from 0 (not relevant) to 1 (relevant).")


def _read(table: Table, low: float, high: float, allowed: str) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    graded = "score" in table.columns
    for start, batch in table.batches():
        queries, documents = (
            as_strings(batch[name], name, table.path).to_pylist()
            for name in (table.columns[role] for role in ("query_id", "corpus_id"))
        )
        values: list[float | None] = [math.inf] * len(queries)
        if graded:
            scores = batch[table.columns["score"]]
            values = pc.cast(scores, pa.float64(), safe=False).to_pylist()
        for row, value in enumerate(values):
            if value is None:
                continue
            if graded and not low <= value <= high:
                raise InputError(
                    f"{table.path}, row {start + row}: {value} is not a valid verdict.",
                    why=allowed,
                    fix="Remove the row, or scale the scores.",
                )
            found[queries[row], documents[row]] = value
    return found
