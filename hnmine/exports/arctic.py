"""ArcticTraining's tables of mined data: texts and labels by number.

Its scripts convert ids to uint64, so queries and documents go by number here; query_ids and
document_ids hold the ids behind the numbers. Each query has the full number of negatives, because
its batches refuse a query with fewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pyarrow as pa

from hnmine.exports.examples import Material
from hnmine.exports.format import Format

TEXTS_AT_ONCE, LABELS_AT_ONCE = 1 << 10, 1 << 16

LABELS = pa.schema(
    [("QUERY_ID", pa.uint64()), ("DOCUMENT_ID", pa.uint64()), ("RELEVANCE", pa.int8())]
)


def _texts_of(kind: str) -> pa.Schema:
    return pa.schema([(f"{kind}_ID", pa.uint64()), (f"{kind}_TEXT", pa.string())])


def queries(material: Material) -> Iterator[pa.Table]:
    """Yield `QUERY_ID, QUERY_TEXT`."""
    rows = ((example.number, example.query) for example in material.full_examples())
    return _tables(_texts_of("QUERY"), rows)


def documents(material: Material) -> Iterator[pa.Table]:
    """Yield `DOCUMENT_ID, DOCUMENT_TEXT`; a document's number is its row in the index."""
    numbers = material.used.tolist()
    texts = (text for _, text in material.used_documents())
    return _tables(_texts_of("DOCUMENT"), zip(numbers, texts, strict=True))


def labels(material: Material) -> Iterator[pa.Table]:
    """Yield `QUERY_ID, DOCUMENT_ID, RELEVANCE`: 1 for positives, -1 for negatives."""
    rows = (
        (example.number, passage.row, relevance)
        for example in material.full_examples()
        for passages, relevance in ((example.positives, 1), (example.negatives, -1))
        for passage in passages
    )
    return _tables(LABELS, rows, LABELS_AT_ONCE)


def query_ids(material: Material) -> Iterator[dict[str, object]]:
    """Yield `QUERY_ID, query_id`."""
    for example in material.full_examples():
        yield {"QUERY_ID": example.number, "query_id": example.id}


def document_ids(material: Material) -> Iterator[dict[str, object]]:
    """Yield `DOCUMENT_ID, document_id`."""
    for number, (document, _) in zip(
        material.used.tolist(), material.used_documents(), strict=True
    ):
        yield {"DOCUMENT_ID": number, "document_id": document}


def _tables(
    schema: pa.Schema, rows: Iterable[Sequence[object]], at_once: int = TEXTS_AT_ONCE
) -> Iterator[pa.Table]:
    """Yield rows as tables; an empty one if there are none, so that the file has its columns."""
    remaining = iter(rows)
    block = list(islice(remaining, at_once))
    while True:
        columns = list(zip(*block, strict=True)) or [()] * len(schema)
        arrays = [
            pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)
        ]
        yield pa.Table.from_arrays(arrays, schema=schema)
        if not (block := list(islice(remaining, at_once))):
            return


ARCTIC = Format(
    {
        "queries.parquet": queries,
        "documents.parquet": documents,
        "labels.parquet": labels,
        "query_ids.jsonl": query_ids,
        "document_ids.jsonl": document_ids,
    },
    configs={name: f"{name}.parquet" for name in ("labels", "queries", "documents")},
    full="always",
)
