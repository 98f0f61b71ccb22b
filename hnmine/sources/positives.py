"""Join pairs and judgements with the queries and the documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from hnmine.array_files import save_array
from hnmine.inputs.identity import normalise
from hnmine.inputs.nearest import near
from hnmine.inputs.records import PairBatch
from hnmine.inputs.table_reader import BadRows
from hnmine.inputs.texts import Texts
from hnmine.ragged import Bools, Ints, offsets_of


class Findable(Protocol):
    """Documents or queries that can be looked up, such as `Texts`."""

    def find_ids(self, ids: Iterable[str]) -> Ints:
        """Return the row of each id, or -1, shape (n,)."""
        ...

    def find_texts(self, texts: list[str]) -> Ints:
        """Return the row of each text, else one with the same normalised text, else -1."""
        ...


def write_positives(
    pairs: Iterable[PairBatch], queries: Texts, documents: Texts, source: str, bad: BadRows
) -> dict[str, int]:
    """Join pairs with queries and documents, write the join beside the queries, and return counts.

    Queries with the same normalised text share their positives, and copies of a document are one
    positive.

    Args:
        pairs: (query, positive) by id or by text.
        queries: already written; the join goes to their directory.
        documents: of the index.
        source: name of the pairs in errors.
        bad: records pairs whose query or positive is unknown, or has another text.
    """
    query_rows, document_rows = [], []
    asked, known = (queries, "the queries have"), (documents, "the index has")
    for batch in pairs:
        query = queries.find_ids(batch.query_ids)
        document = find_documents(batch, documents)
        left_out = _left_out(batch, query, queries)
        other = _other_text(batch.positives if batch.positive_ids else None, document, documents)
        # A positive with a text can be added to the index; an id alone cannot.
        adds = " (build-index --pairs adds positives)" if batch.positives is not None else ""
        for wrong, what, ids, among in (
            (query < 0, "whose query is not among the queries", batch.query_ids, asked),
            (document < 0, f"whose positive is not in the index{adds}", batch.positive_ids, known),
            (other, "whose positive's id has another text in the index", batch.positive_ids, None),
        ):
            for pair in np.flatnonzero(wrong & ~left_out):
                where = f"{source}, row {batch.rows[pair]}"
                bad.add(what, where + _named(bad, ids[pair] if ids else None, among))
        both = (query >= 0) & (document >= 0) & ~other & ~left_out
        query_rows.append(query[both])
        document_rows.append(document[both])
    bad.settle()
    query = queries.identity[np.concatenate([np.empty(0, np.int64), *query_rows])]
    document = np.concatenate([np.empty(0, np.int64), *document_rows])
    order = np.lexsort((document, documents.identity[document], query))
    query, document = query[order], document[order]
    same = documents.identity[document]
    first = np.ones(len(query), dtype=bool)
    first[1:] = (query[1:] != query[:-1]) | (same[1:] != same[:-1])
    query, document = query[first], document[first]
    save_array(
        queries.directory / "positive_offsets.npy",
        offsets_of(np.bincount(query, minlength=len(queries))),
    )
    save_array(queries.directory / "positive_rows.npy", document)
    return {"pairs": len(order), "positives": len(document)}


def write_grades(
    judgements: Iterable[PairBatch], queries: Texts, documents: Texts, threshold: float = 1.0
) -> dict[str, int]:
    """Write the grade of every judged (query, document) beside the queries, and return counts.

    The highest of several grades counts. Judgements of unknown queries or documents are left out;
    positives among them were reported before.

    Args:
        judgements: with grades, positive or not.
        queries: already written; the grades go to their directory.
        documents: of the index.
        threshold: lower grades are those of known negatives.

    Returns:
        Counts: `known_negatives`, and `known_negatives_not_in_the_index`.
    """
    parts = []
    lost = 0
    for batch in judgements:
        query, document = queries.find_ids(batch.query_ids), find_documents(batch, documents)
        both = (query >= 0) & (document >= 0)
        grades = np.array(batch.grades or [], dtype=np.float64)
        lost += int(((query >= 0) & (document < 0) & (grades < threshold)).sum())
        parts.append((query[both], document[both], grades[both]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    query, document = queries.identity[columns[0]], documents.identity[columns[1]]
    order = np.lexsort((-columns[2], document, query))
    query, document, grades = query[order], document[order], columns[2][order]
    first = np.ones(len(query), dtype=bool)
    first[1:] = (query[1:] != query[:-1]) | (document[1:] != document[:-1])
    counts = np.bincount(query[first], minlength=len(queries))
    save_array(queries.directory / "grade_offsets.npy", offsets_of(counts))
    save_array(queries.directory / "grade_rows.npy", document[first])
    save_array(queries.directory / "grades.npy", grades[first])
    negative = int((grades[first] < threshold).sum())
    return {"known_negatives": negative, "known_negatives_not_in_the_index": lost}


def _named(bad: BadRows, wanted: str | None, among: tuple[Texts, str] | None) -> str:
    """Return an id and similar known ids, for an error; empty if it is not shown."""
    if wanted is None or not bad.shows_more:
        return ""
    return f", id {wanted!r}{near(wanted, *among) if among else ''}"


def find_documents(batch: PairBatch, documents: Findable) -> Ints:
    """Return the row of each pair's positive, by its id, else by its text, or -1, shape (n,)."""
    if batch.positive_ids is None:
        return documents.find_texts(batch.positives or [])
    rows = documents.find_ids(batch.positive_ids)
    if batch.positives is not None and (rows < 0).any():
        missing = np.flatnonzero(rows < 0)
        rows[missing] = documents.find_texts([batch.positives[pair] for pair in missing])
    return rows


def _left_out(batch: PairBatch, rows: Ints, queries: Texts) -> Bools:
    """Return which pairs have a query that was skipped because another has its id."""
    left_out = np.zeros(len(rows), dtype=bool)
    if batch.queries is not None:
        found = np.flatnonzero(rows >= 0)
        for pair, text in zip(found, queries.texts(rows[found]), strict=True):
            left_out[pair] = text != batch.queries[pair]
    return left_out


def _other_text(positives: list[str] | None, rows: Ints, documents: Texts) -> Bools:
    """Return which positives differ from the document with their id, as in another corpus.

    A document may begin with a title, and a positive may be cut.
    """
    other = np.zeros(len(rows), dtype=bool)
    if positives is not None:
        found = np.flatnonzero(rows >= 0)
        for pair, text in zip(found, documents.texts(rows[found]), strict=True):
            if positives[pair] != text:
                positive, document = normalise(positives[pair]), normalise(text)
                other[pair] = positive not in document and document not in positive
    return other
