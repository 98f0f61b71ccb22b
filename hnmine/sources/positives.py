"""Which documents are known positives of which query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import save_array
from hnmine.inputs.identity import normalise
from hnmine.inputs.nearest import near
from hnmine.inputs.records import PairBatch
from hnmine.inputs.table_reader import BadRows
from hnmine.inputs.texts import Texts
from hnmine.ragged import Ints, offsets_of


class Findable(Protocol):
    """Documents or queries that can be found; `Texts` are, and so are keys of texts not written."""

    def find_ids(self, ids: Iterable[str]) -> Ints:
        """Return the row of each id, or -1, shape (n,)."""
        ...

    def find_texts(self, texts: list[str]) -> Ints:
        """Return for each text the row that holds it, else one whose text is the same, else -1."""
        ...


def write_positives(
    pairs: Iterable[PairBatch], queries: Texts, documents: Texts, source: str, bad: BadRows
) -> dict[str, int]:
    """Join pairs with the queries and the documents, and write the join beside the queries.

    Queries of one normalised text share their positives, and two copies of one document are one
    positive: what is known of one must hold for the other.

    Args:
        pairs: (query, positive) by id or by text.
        queries: already written; the join goes to their directory.
        documents: of the index.
        source: what to call the pairs in an error.
        bad: where pairs are recorded whose query or positive is not there, or is another.
    """
    found_queries, found_documents = [], []
    asked, known = (queries, "the queries have"), (documents, "the index has")
    for batch in pairs:
        query = queries.find_ids(batch.query_ids)
        document = find_documents(batch, documents)
        left_out = _left_out(batch, query, queries)
        other = _other_text(batch.positives if batch.positive_ids else None, document, documents)
        # A positive that has a text can be added to the index; an id alone cannot.
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
        found_queries.append(query[both])
        found_documents.append(document[both])
    bad.settle()
    query = queries.identity[np.concatenate([np.empty(0, np.int64), *found_queries])]
    document = np.concatenate([np.empty(0, np.int64), *found_documents])
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
    """Write the grade of every judged (query, document) beside the queries.

    Of several grades for one query and one document, the highest counts. What is judged of
    unknown queries or documents is left out: those that are positives were reported before.

    Args:
        judgements: with grades, positive or not.
        queries: already written; the grades go to their directory.
        documents: of the index.
        threshold: grades below it make known negatives.

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
    """Name an id, and those near it where it is shown."""
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


def _left_out(batch: PairBatch, rows: Ints, queries: Texts) -> NDArray[np.bool_]:
    """Tell which pairs have a query that was left out, and recorded, as another has its id."""
    left_out = np.zeros(len(rows), dtype=bool)
    if batch.queries is not None:
        found = np.flatnonzero(rows >= 0)
        for pair, text in zip(found, queries.texts(rows[found]), strict=True):
            left_out[pair] = text != batch.queries[pair]
    return left_out


def _other_text(positives: list[str] | None, rows: Ints, documents: Texts) -> NDArray[np.bool_]:
    """Tell which positives are not the document that their id names: it is another corpus's id.

    A document may have a title before the text, and a positive may be cut.
    """
    other = np.zeros(len(rows), dtype=bool)
    if positives is not None:
        found = np.flatnonzero(rows >= 0)
        for pair, text in zip(found, documents.texts(rows[found]), strict=True):
            if positives[pair] != text:
                given, there = normalise(positives[pair]), normalise(text)
                other[pair] = given not in there and there not in given
    return other
