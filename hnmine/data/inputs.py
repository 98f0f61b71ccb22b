"""What an input holds: pairs hold documents for the index, and queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from hnmine.data.records import (
    PairBatch,
    TextBatch,
    corpus_records,
    pair_records,
    qrel_records,
    query_records,
)
from hnmine.data.tables import BadRows, Reading, Table, content_id
from hnmine.errors import InputError


def positives_of(batch: PairBatch) -> TextBatch:
    """Return the positives of pairs as documents; without ids they go by their content."""
    texts, ids = batch.positives or [], batch.positive_ids
    return TextBatch(ids or [content_id(text) for text in texts], texts, ids is not None)


def queries_of(table: Table, batch: PairBatch) -> TextBatch:
    """Return the queries of pairs; without ids they go by their content."""
    return TextBatch(
        batch.query_ids, batch.queries or [], "query_id" in table.columns, batch.metadata
    )


def read_documents(inputs: Mapping[str, Table], bad: BadRows) -> Iterator[TextBatch]:
    """Stream the documents: the corpus, then the positives of pairs."""
    if "corpus" in inputs:
        yield from corpus_records(inputs["corpus"], bad)
    if "pairs" in inputs:
        yield from map(positives_of, pair_records(inputs["pairs"], bad))


def read_queries(inputs: Mapping[str, Table], bad: BadRows) -> Iterator[TextBatch]:
    """Stream the queries: those of their own table, or of the pairs."""
    if "queries" in inputs:
        yield from query_records(inputs["queries"], bad)
    else:
        pairs = inputs["pairs"]
        yield from (queries_of(pairs, batch) for batch in pair_records(pairs, bad))


def read_pairs(inputs: Mapping[str, Table], min_grade: float, bad: BadRows) -> Iterator[PairBatch]:
    """Stream which document is a positive of which query: pairs, or judgements from a grade on."""
    if "pairs" in inputs:
        return pair_records(inputs["pairs"], bad)
    return qrel_records(inputs["qrels"], min_grade, bad)


def guess_kind(
    path: str, columns: Mapping[str, Mapping[str, str]], reading: Reading | None = None
) -> str:
    """Tell by its columns, and last by its name, what a table holds.

    Args:
        path: a file, a directory or a glob.
        columns: names that the user gave, by table and role.
        reading: how to read text files.

    Raises:
        InputError: nothing is there, it cannot be read, or it has not the columns of any table.
    """
    tables = {}
    for kind in ("pairs", "qrels", "corpus", "queries"):
        with suppress(InputError):
            tables[kind] = Table.open(kind, path, columns[kind], reading=reading, aloud=False)
    if not tables:
        # Raises: nothing is there, or it says what columns there are.
        kind = next((kind for kind in columns if columns[kind]), "corpus")
        Table.open(kind, path, columns[kind], reading=reading)
    if tables.keys() == {"corpus", "queries"}:
        named = "quer" in Path(path).name.lower()
        return "queries" if named and "title" not in tables["corpus"].columns else "corpus"
    return next(iter(tables))
