"""What the rows of an input mean: documents, queries, pairs, judgements; streamed, checked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from hnmine.data.tables import BadRows, Table, as_string_lists, content_id, is_blank
from hnmine.errors import InputError


@dataclass(frozen=True)
class TextBatch:
    """Documents or queries of one batch.

    Attributes:
        ids: the id of each; its content's hash where the input has none.
        texts: never blank.
        has_own_id: False where the id was made from the text: such a row adds nothing if the
            text is there already.
        metadata: a struct for each row, or None.
    """

    ids: list[str]
    texts: list[str]
    has_own_id: bool
    metadata: pa.StructArray | None = None


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
    """

    rows: list[int]
    query_ids: list[str]
    queries: list[str] | None
    positive_ids: list[str] | None
    positives: list[str] | None
    grades: list[float] | None = None
    metadata: pa.StructArray | None = None


def corpus_records(table: Table, bad: BadRows) -> Iterator[TextBatch]:
    """Stream a corpus: the title joined before the text, other columns as metadata."""
    for start, batch in table.batches(bad):
        texts = _strings(table, batch, "text")
        if "title" in table.columns:
            titles = _strings(table, batch, "title")
            texts = [_join(title, text) for title, text in zip(titles, texts, strict=True)]
        ids = _strings(table, batch, "id") if "id" in table.columns else None
        keep = _usable(table, start, bad, {"text": texts, "id": ids})
        yield TextBatch(
            [ids[row] or "" if ids else content_id(texts[row] or "") for row in keep],
            [texts[row] or "" for row in keep],
            ids is not None,
            _metadata(table, batch, keep),
        )


def query_records(table: Table, bad: BadRows) -> Iterator[TextBatch]:
    """Stream a table of queries."""
    for start, batch in table.batches(bad):
        ids, texts = _strings(table, batch, "id"), _strings(table, batch, "text")
        keep = _usable(table, start, bad, {"text": texts, "id": ids})
        yield TextBatch(
            [ids[row] or "" for row in keep],
            [texts[row] or "" for row in keep],
            True,
            _metadata(table, batch, keep),
        )


def pair_records(table: Table, bad: BadRows) -> Iterator[PairBatch]:
    """Stream pairs as text; a list of positives becomes one pair for each of them."""
    for start, batch in table.batches(bad):
        queries = _strings(table, batch, "query")
        query_ids = _strings(table, batch, "query_id") if "query_id" in table.columns else None
        owner, positives = _lists(table, batch, "positive")
        positive_ids = None
        if "positive_id" in table.columns:
            id_owner, positive_ids = _lists(table, batch, "positive_id")
            if id_owner != owner:
                owner, positives, positive_ids = _matched(
                    table, start, bad, (owner, positives), (id_owner, positive_ids)
                )
        by_pair = {
            "query": [queries[row] for row in owner],
            "query id": [query_ids[row] for row in owner] if query_ids else None,
            "positive": positives,
            "positive id": positive_ids,
        }
        keep = _usable(table, start, bad, by_pair, owner)
        yield PairBatch(
            [start + owner[pair] for pair in keep],
            [
                (query_ids[owner[pair]] or "")
                if query_ids
                else content_id(queries[owner[pair]] or "")
                for pair in keep
            ],
            [queries[owner[pair]] or "" for pair in keep],
            [positive_ids[pair] or "" for pair in keep] if positive_ids else None,
            [positives[pair] or "" for pair in keep],
            metadata=_metadata(table, batch, [owner[pair] for pair in keep]),
        )


def qrel_records(table: Table, min_grade: float, bad: BadRows) -> Iterator[PairBatch]:
    """Stream judgements at or above a grade, which may be minus infinity.

    A table without grades holds positives only.
    """
    for start, batch in table.batches(bad):
        query_ids = _strings(table, batch, "query_id")
        corpus_ids = _strings(table, batch, "corpus_id")
        grades: list[float | None] = [min_grade] * batch.num_rows
        if "score" in table.columns:
            grades = _grades(table, batch)
        by_row = {
            "query id": query_ids,
            "corpus id": corpus_ids,
            "grade": [None if grade is None else "grade" for grade in grades],
        }
        keep = []
        for row in _usable(table, start, bad, by_row):
            grade = grades[row] or 0.0
            if "score" in table.columns and not math.isfinite(grade):
                bad.add("with a grade that is not finite", f"{table.path}, row {start + row}")
            elif grade >= min_grade:
                keep.append(row)
        yield PairBatch(
            [start + row for row in keep],
            [query_ids[row] or "" for row in keep],
            None,
            [corpus_ids[row] or "" for row in keep],
            None,
            [grades[row] or 0.0 for row in keep] if "score" in table.columns else None,
        )


def _metadata(table: Table, batch: pa.RecordBatch, rows: list[int]) -> pa.StructArray | None:
    names = table.metadata_columns
    if not names:
        return None
    columns = [batch[name].take(pa.array(rows, pa.int64())) for name in names]
    return pa.StructArray.from_arrays(columns, names=names)


def _strings(table: Table, batch: pa.RecordBatch, role: str) -> list[str | None]:
    column = table.text(batch, role)
    assert column is not None, role
    values: list[str | None] = column.to_pylist()
    return values


def _lists(table: Table, batch: pa.RecordBatch, role: str) -> tuple[list[int], list[str | None]]:
    name = table.columns[role]
    owner, values = as_string_lists(batch[name], name, table.path)
    return owner.to_pylist(), values.to_pylist()


def _matched(
    table: Table,
    start: int,
    bad: BadRows,
    texts: tuple[list[int], list[str | None]],
    ids: tuple[list[int], list[str | None]],
) -> tuple[list[int], list[str | None], list[str | None]]:
    """Leave out the rows that have another number of positives than of ids."""
    of_texts, of_ids = Counter(texts[0]), Counter(ids[0])
    wrong = {row for row, count in of_texts.items() if of_ids[row] != count}
    for row in sorted(wrong):
        bad.add(
            "with another number of positives than of positive ids",
            f"{table.path}, row {start + row}",
            of_texts[row],
        )
    if bad.mode == "error":
        bad.settle()
    owner = [row for row in texts[0] if row not in wrong]
    positives, positive_ids = (
        [value for row, value in zip(*column, strict=True) if row not in wrong]
        for column in (texts, ids)
    )
    return owner, positives, positive_ids


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


def _join(title: str | None, text: str | None) -> str:
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
