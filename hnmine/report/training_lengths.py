"""The rows that training sees, positives and chosen negatives, in a table with their lengths."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from hnmine.inputs.texts import Texts
from hnmine.report.scored import Scored

COLUMNS = ("query_id", "doc_id", "label", "bm25_score", "p_relevant")
TEXTS_AT_ONCE = 8192


def make_chosen(scored: Scored) -> None:
    """Make the SQL table `chosen`: a row for each positive and each chosen negative.

    Its columns are `COLUMNS` and `length`, in characters, null where texts cannot be read.
    """
    scored.ask(
        "create temp table chosen (query_id varchar, doc_id varchar, label tinyint, "
        "bm25_score double, p_relevant double, length bigint)"
    )
    columns = [name for name in COLUMNS if name in scored.columns]
    wanted = ds.field("label").is_valid()
    for batch in scored.dataset.to_batches(columns=columns, filter=wanted):
        table = pa.Table.from_batches([batch])
        if scored.texts is not None:
            lengths = list(_lengths(scored.texts.index.documents, batch["doc_id"]))
            table = table.append_column("length", pa.chunked_array(lengths, pa.int64()))
        if table.num_rows:
            scored.add("chosen", table)


def _lengths(documents: Texts, ids: pa.Array) -> Iterator[pa.Array]:
    """Count the characters of documents, some at a time: texts are never all in memory."""
    for start in range(0, len(ids), TEXTS_AT_ONCE):
        rows = documents.find_ids(ids.slice(start, TEXTS_AT_ONCE).to_pylist())
        yield pc.utf8_length(documents.text_array(rows)).cast(pa.int64())
