"""The last check of negatives before they are written, however they were chosen.

It compares rows and text identities from the index and from queries/, never columns of the
candidates or expressions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from hnmine.directories.candidates import Candidates
from hnmine.errors import InputError
from hnmine.ragged import Bools, Ints, offsets_of


def never_negatives(candidates: Candidates, queries: Ints) -> tuple[Ints, Ints]:
    """Return (offsets, slots): for each query its known positives and its own text.

    Args:
        candidates: that hold the queries and the index.
        queries: rows in queries/, shape (n,).
    """
    documents = candidates.index.documents
    offsets, positives = candidates.queries.positives(queries)
    same = candidates.queries_as_documents[queries]
    itself = np.flatnonzero(same >= 0)
    owner = np.concatenate([np.repeat(np.arange(len(queries)), np.diff(offsets)), itself])
    slots = documents.slots(np.concatenate([positives, same[itself]]))
    order = np.argsort(owner, kind="stable")
    return offsets_of(np.bincount(owner, minlength=len(queries))), slots[order]


def check_negatives(
    candidates: Candidates,
    path: Path,
    negatives: tuple[Ints, Ints],
    positives: tuple[Ints, Ints] | None = None,
) -> None:
    """Refuse negatives that are a known positive of their query, a copy of one, or the query.

    Args:
        candidates: that they are from.
        path: directory that they are read from, for the error.
        negatives: query rows and document rows, shape (negatives,) each; -1 for an unknown one.
        positives: further positives to write besides the known ones, in the same form.

    Raises:
        InputError: with the first such query and document.
    """
    query, document = negatives
    documents, texts = candidates.index.documents, candidates.queries.texts
    for pairs in (negatives, positives or negatives):
        for rows, known in zip(pairs, (len(texts), len(documents)), strict=True):
            if len(rows) and not (rows.min() >= 0 and rows.max() < known):
                raise InputError(
                    f"{path} is damaged.",
                    why="It names a query or a document that its candidates do not hold.",
                    fix="Run the command that wrote it again, into a new directory.",
                )
    asked, number = np.unique(query, return_inverse=True)
    offsets, slots = never_negatives(candidates, asked)
    width = len(documents.canonical)
    never = np.repeat(np.arange(len(asked)), np.diff(offsets)) * width + slots
    if positives is not None:
        at = np.isin(positives[0], asked)
        more = np.searchsorted(asked, positives[0][at]) * width + documents.slots(positives[1][at])
        never = np.concatenate([never, more])
    wrong = np.flatnonzero(np.isin(number * width + documents.slots(document), never))
    if len(wrong):
        raise refusal(candidates, path, int(query[wrong[0]]), int(document[wrong[0]]))


def check_table(candidates: Candidates, table: pa.Table, negative: Bools, positive: Bools) -> None:
    """Refuse rows of the candidates as `check_negatives` does, and ids that do not match rows.

    Args:
        candidates: that the table is read from.
        table: with the ids and the rows of queries and documents.
        negative: the rows to write as negatives.
        positive: the rows to write as positives.

    Raises:
        InputError: with the first query and document that are refused.
    """
    query, document = (table[name].to_numpy() for name in ("query_row", "doc_row"))
    check_negatives(
        candidates,
        candidates.path,
        (query[negative], document[negative]),
        (query[positive], document[positive]),
    )
    used = np.flatnonzero(negative | positive)
    for name, texts, rows in (
        ("query_id", candidates.queries.texts, query),
        ("doc_id", candidates.index.documents, document),
    ):
        given = table[name].take(pa.array(used)).cast(pa.large_string())
        if not given.equals(pa.chunked_array([texts.id_array(rows[used])])):
            raise InputError(
                f"{candidates.path} is damaged.",
                why=f"An id in its column {name} does not match the row number beside it.",
                fix="Mine again, into a new directory.",
            )


def refusal(candidates: Candidates, path: Path, query: int, document: int) -> InputError:
    """Return the error for a document that must not be a negative of a query."""
    documents, texts = candidates.index.documents, candidates.queries.texts
    rows = np.array([document])
    (doc_id,) = documents.id_array(rows).to_pylist()
    (query_id,) = texts.id_array(np.array([query])).to_pylist()
    _, positives = candidates.queries.positives(np.array([query]))
    if document in positives:
        what = "its known positive"
    elif np.isin(documents.slots(rows), documents.slots(positives)).any():
        what = "a copy of its known positive"
    elif candidates.queries_as_documents[query] == documents.identity[document]:
        what = "the query itself"
    else:
        what = "its positive too"
    return InputError(
        f"Document {doc_id!r} was about to become a negative of query {query_id!r}, "
        f"and it is {what}.",
        why=f"{path} was changed after it was written, or is damaged.",
        fix="Write it again, into a new directory. If the error persists, please report it.",
    )
