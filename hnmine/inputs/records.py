"""Documents, queries, pairs and judgements, streamed from the rows of an input and checked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hnmine.errors import InputError
from hnmine.inputs.columns import Passages
from hnmine.inputs.labels import Labels, label_numbers
from hnmine.inputs.nested import at_path
from hnmine.inputs.table_reader import BadRows, Table, content_id, is_blank
from hnmine.inputs.values import as_string_lists, is_list
from hnmine.ragged import Item


@dataclass(frozen=True)
class TextBatch:
    """Documents or queries of one batch.

    Attributes:
        ids: the id of each; its content's hash where the input has none.
        texts: never blank.
        has_own_id: False where the id was made from the text: such a row adds nothing if the
            text is already indexed.
        metadata: a struct for each row, or None.
        beside_corpus: the texts are passages of pairs, and there is a corpus.
    """

    ids: list[str]
    texts: list[str]
    has_own_id: bool
    metadata: pa.StructArray | None = None
    beside_corpus: bool = False


@dataclass(frozen=True)
class PairBatch:
    """(query, positive) pairs of one batch, one row for each positive.

    Attributes:
        rows: the input's row of each pair, to name it in an error.
        query_ids: one for each pair.
        queries: one for each pair; None where the pairs come as ids only.
        positive_ids: one for each pair; None where the input has none.
        positives: one for each pair; None where the pairs come as ids only.
        grades: one for each judgement; None where the input has none.
        metadata: a struct for each pair, about its query, or None.
        relevant: whether the text is a positive, one for each pair; None if all are.
    """

    rows: list[int]
    query_ids: list[str]
    queries: list[str] | None
    positive_ids: list[str] | None
    positives: list[str] | None
    grades: list[float] | None = None
    metadata: pa.StructArray | None = None
    relevant: list[bool] | None = None

    @property
    def only_positives(self) -> PairBatch:
        """The pairs whose text is a positive; without grades and metadata if there are others."""
        if self.relevant is None:
            return self
        keep = [pair for pair, relevant in enumerate(self.relevant) if relevant]
        return PairBatch(
            [self.rows[pair] for pair in keep],
            [self.query_ids[pair] for pair in keep],
            _at(self.queries, keep),
            _at(self.positive_ids, keep),
            _at(self.positives, keep),
        )


def text_records(table: Table, bad: BadRows) -> Iterator[TextBatch]:
    """Stream a corpus or queries: the title joined before the text, other columns as metadata."""
    for start, batch in table.batches(bad):
        texts = _strings(table, batch, "text")
        if "title" in table.columns:
            texts = list(map(joined, _strings(table, batch, "title"), texts))
        ids = _strings(table, batch, "id") if "id" in table.columns else None
        keep = _usable(table, start, bad, {"text": texts, "id": ids})
        yield TextBatch(
            [ids[row] or "" if ids else content_id(texts[row] or "") for row in keep],
            [texts[row] or "" for row in keep],
            ids is not None,
            _metadata(table, batch, keep),
        )


_Lists = tuple[list[int], list[Any]]
"""The row of each value, and the values."""


def pair_records(
    table: Table, bad: BadRows, labels: Labels | None = None, negatives: bool = False
) -> Iterator[PairBatch]:
    """Stream pairs as text; a list of positives becomes one pair for each of them.

    Args:
        table: of pairs.
        bad: where rows are recorded that cannot be used.
        labels: which rows are positives; without them, all are.
        negatives: whether to stream the texts of columns of negatives too, as not relevant.
    """
    own = Passages(*(table.columns.get(role) for role in ("positive", "positive_id", "title")))
    others = table.negatives if negatives else ()
    for start, batch in table.batches(bad, [path for found in others for path in found.paths]):
        yield _pairs(table, start, batch, bad, own, labels)
        for found in others:
            # A row may have no negatives; those with a bad query are recorded with the positives.
            pairs = _pairs(table, start, batch, BadRows("skip"), found)
            yield replace(pairs, relevant=[False] * len(pairs.rows))


def _pairs(
    table: Table,
    start: int,
    batch: pa.RecordBatch,
    bad: BadRows,
    of: Passages,
    labels: Labels | None = None,
) -> PairBatch:
    """Return the pairs of the queries of a batch and one column of passages."""
    by_row = _strings(table, batch, "query")
    ids_by_row = _strings(table, batch, "query_id") if "query_id" in table.columns else None
    owner, columns = _aligned(table, start, batch, bad, of, labels)
    texts, ids, grades = columns["positive"], columns["positive id"], columns["label"]
    if texts and columns["title"]:
        texts = list(map(joined, columns["title"], texts))
    given = {
        "query": [by_row[row] for row in owner],
        "query id": [ids_by_row[row] for row in owner] if ids_by_row else None,
        "positive": texts,
        "positive id": ids,
    }
    keep = _usable(table, start, bad, given, owner)
    if grades is not None:  # Those that are missing were recorded when the labels were read.
        keep = [pair for pair in keep if math.isfinite(grades[pair])]
    rows = [owner[pair] for pair in keep]
    queries = [by_row[row] or "" for row in rows]
    kept_grades = _at(grades, keep)
    return PairBatch(
        [start + row for row in rows],
        [ids_by_row[row] or "" for row in rows] if ids_by_row else list(map(content_id, queries)),
        queries,
        _at(ids, keep),
        _at(texts, keep),
        kept_grades,
        _metadata(table, batch, rows),
        [one >= labels.threshold for one in kept_grades or ()] if labels else None,
    )


def _at(values: list[Item] | None, keep: list[int]) -> list[Item] | None:
    return None if values is None else [values[place] for place in keep]


def _aligned(
    table: Table,
    start: int,
    batch: pa.RecordBatch,
    bad: BadRows,
    of: Passages,
    labels: Labels | None,
) -> tuple[list[int], dict[str, list[Any] | None]]:
    """Flatten the texts, ids, titles and labels of passages; leave out rows where they differ."""
    columns = {"positive": of.text, "positive id": of.id, "title": of.title}
    lists: dict[str, _Lists] = {
        name: _lists(table, batch, path) for name, path in columns.items() if path
    }
    first = next(iter(lists))
    owner = lists[first][0]
    if labels:
        column = at_path(batch, labels.column)
        of_label, numbers = label_numbers(column, labels.column, table.path)
        lists["label"] = of_label.tolist(), numbers.tolist()
        if not is_list(column.type):  # It holds for all positives of its row.
            lists["label"] = owner, [lists["label"][1][row] for row in owner]
    other = next((name for name, (rows, _) in lists.items() if rows != owner), None)
    if other:
        counts = [Counter(rows) for rows, _ in lists.values()]
        wrong = {row for row, count in counts[0].items() for each in counts if each[row] != count}
        for row in sorted(wrong):
            reason = f"with another number of {first}s than of {other}s"
            bad.add(reason, f"{table.path}, row {start + row}", counts[0][row])
        if bad.mode == "error":
            bad.settle()
        for name, (rows, values) in lists.items():
            keep = [row not in wrong for row in rows]
            lists[name] = list(compress(rows, keep)), list(compress(values, keep))
        owner = lists[first][0]
    return owner, {name: lists.get(name, (None, None))[1] for name in (*columns, "label")}


def qrel_records(table: Table, min_grade: float, bad: BadRows) -> Iterator[PairBatch]:
    """Stream judgements at or above a grade, which may be minus infinity.

    A table without grades holds positives only.
    """
    for start, batch in table.batches(bad):
        owner, corpus_ids = _lists(table, batch, table.columns["corpus_id"])
        by_query = _strings(table, batch, "query_id")
        query_ids = [by_query[row] for row in owner]
        grades: list[float | None] = [min_grade] * len(owner)
        if "score" in table.columns:
            by_list = _grades(table, batch)
            grades = [by_list[row] for row in owner]
        by_row = {
            "query id": query_ids,
            "corpus id": corpus_ids,
            "grade": [None if grade is None else "grade" for grade in grades],
        }
        keep = []
        for row in _usable(table, start, bad, by_row, owner):
            grade = grades[row] or 0.0
            if "score" in table.columns and not math.isfinite(grade):
                bad.add(
                    "with a grade that is not finite", f"{table.path}, row {start + owner[row]}"
                )
            elif grade >= min_grade:
                keep.append(row)
        yield PairBatch(
            [start + owner[row] for row in keep],
            [query_ids[row] or "" for row in keep],
            None,
            [corpus_ids[row] or "" for row in keep],
            None,
            [grades[row] or 0.0 for row in keep] if "score" in table.columns else None,
        )


def _metadata(table: Table, batch: pa.RecordBatch, rows: list[int]) -> pa.StructArray | None:
    names = list(table.metadata)
    if not names:
        return None
    columns = [batch[name].take(pa.array(rows, pa.int64())) for name in names]
    return pa.StructArray.from_arrays(columns, names=names)


def _strings(table: Table, batch: pa.RecordBatch, role: str) -> list[str | None]:
    column = table.text(batch, role)
    assert column is not None, role
    values: list[str | None] = column.to_pylist()
    return values


def _lists(table: Table, batch: pa.RecordBatch, path: str) -> _Lists:
    owner, values = as_string_lists(at_path(batch, path), path, table.path)
    return owner.to_pylist(), values.to_pylist()


def _grades(table: Table, batch: pa.RecordBatch) -> list[float | None]:
    column = batch[table.columns["score"]]
    try:
        grades: list[float | None] = pc.cast(column, pa.float64()).to_pylist()
    except pa.ArrowException as error:
        raise InputError(
            f"Column {table.columns['score']!r} of {table.path} holds {column.type}, not grades.",
            why=str(error),
            fix="Give numbers, or name another column with --column qrels.score=NAME.",
        ) from error
    return grades


def joined(title: str | None, text: str | None) -> str:
    """Return a title and a text as one text."""
    return " ".join(part.strip() for part in (title, text) if part and part.strip())


def _usable(
    table: Table,
    start: int,
    bad: BadRows,
    columns: Mapping[str, Sequence[str | None] | None],
    rows: list[int] | None = None,
) -> list[int]:
    """List the positions where no column is blank; record the others as bad."""
    keep = []
    given = {name: values for name, values in columns.items() if values is not None}
    count = len(next(iter(given.values())))
    for position in range(count):
        blank = next((name for name, values in given.items() if is_blank(values[position])), None)
        if blank is None:
            keep.append(position)
        else:
            row = start + (position if rows is None else rows[position])
            bad.add(f"with null or blank {blank}", f"{table.path}, row {row}")
    return keep
