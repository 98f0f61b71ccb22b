"""Tables of generated texts: write, read and merge them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hnmine import schema
from hnmine.inputs.identity import exact_keys, first_rows, identity_keys
from hnmine.inputs.table_reader import BadRows, Table, content_id, is_blank
from hnmine.inputs.texts import Texts
from hnmine.inputs.values import as_string_lists
from hnmine.runner.run_directory import Counts, Tick

Row = tuple[str, str, "str | None", str, "str | None", "str | None"]
"""The fields of `schema.MADE`."""

WRITTEN = "written"
"""The kind of texts that a language model or a person wrote."""


@dataclass(frozen=True)
class Pair:
    """A query and one of its positives, by id and text."""

    query_id: str
    query: str
    positive_id: str
    positive: str


def write_made(rows: Sequence[Row], documents: Texts, queries: Texts, path: Path) -> Counts:
    """Write texts, without blank ones and copies of a document or of the query."""
    texts = [text for text, *_ in rows]
    there = documents.find_same(texts) >= 0
    blank = np.array([is_blank(text) for text in texts], dtype=bool)
    asked = queries.find_ids(query for _, query, *_ in rows)
    query = ~there & ~blank & (queries.find_same(texts) == queries.identity[asked])
    kept = [row for row, drop in zip(rows, there | blank | query, strict=True) if not drop]
    columns = [list(column) for column in zip(*kept, strict=True)] or [[]] * len(schema.MADE)
    pq.write_table(pa.table(columns, schema=schema.MADE), path, compression="zstd")
    return {
        "made": len(rows),
        "dropped_blank": int(blank.sum()),
        "dropped_as_documents": int((there & ~blank).sum()),
        "dropped_as_query": int(query.sum()),
    }


def read_written(table: Table, queries: Texts, bad: BadRows, tick: Tick) -> Iterator[Row]:
    """Yield texts of --written; a text for an unknown query is a bad row."""
    for start, batch in table.batches(bad):
        name = table.columns["text"]
        owner, texts = as_string_lists(batch[name], name, table.path)
        ids = _query_ids(table, batch)
        found = queries.find_ids(query or "" for query in ids)
        for row, text in zip(owner.to_pylist(), texts.to_pylist(), strict=True):
            if is_blank(text):
                bad.add("with null or blank text", f"{table.path}, row {start + row}")
            elif found[row] < 0:
                bad.add("whose query is not among the queries", f"{table.path}, row {start + row}")
            else:
                yield text, ids[row] or "", None, WRITTEN, None, None
        tick(batch.num_rows)


def _query_ids(table: Table, batch: pa.RecordBatch) -> list[str | None]:
    """Return the query ids; without a column of ids, ids made from the query texts."""
    given = table.text(batch, "query_id")
    if given is not None:
        ids: list[str | None] = given.to_pylist()
        return ids
    queries = table.text(batch, "query")
    assert queries is not None
    return [None if is_blank(text) else content_id(text) for text in queries.to_pylist()]


def merge_made(
    parts: Sequence[Path], columns: Callable[[pa.Table], pa.Table], path: Path
) -> dict[str, int]:
    """Merge the parts into one file; of equal texts, the first stays.

    Each text belongs to one query, so no two texts may be equal.

    Args:
        parts: that `write_made` wrote.
        columns: gives a table the columns of the corpus.
        path: of the file.

    Returns:
        Counts: `texts`, of each kind, and `dropped_as_repeated`.
    """
    keys = [
        identity_keys(pq.read_table(part, columns=["text"])["text"].to_pylist()) for part in parts
    ]
    all_keys = np.concatenate([exact_keys([]), *keys])
    keep = first_rows(all_keys) == np.arange(len(all_keys))
    counts = {"texts": int(keep.sum()), "dropped_as_repeated": int((~keep).sum())}
    start = 0
    with pq.ParquetWriter(
        path, columns(schema.MADE.empty_table()).schema, compression="zstd"
    ) as out:
        for part in parts:
            table = pq.read_table(part)
            table = table.filter(pa.array(keep[start : start + len(table)]))
            start += pq.read_metadata(part).num_rows
            for kind in table["edit"].to_pylist():
                counts[f"texts_{kind}"] = counts.get(f"texts_{kind}", 0) + 1
            out.write_table(columns(table))
    return counts
