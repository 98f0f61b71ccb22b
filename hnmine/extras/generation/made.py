"""Tables of generated texts: write, read and merge them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hnmine import schema
from hnmine.inputs.columns import CONVENTIONS
from hnmine.inputs.identity import exact_keys, first_rows, identity_keys
from hnmine.inputs.table_reader import BadRows, Table, content_id, is_blank
from hnmine.inputs.texts import Texts
from hnmine.inputs.values import as_string_lists, as_strings
from hnmine.names import folded
from hnmine.ragged import Bools
from hnmine.runner.run_directory import Counts, Tick

Row = tuple[str, str, "str | None", str, "str | None", "str | None"]
"""The fields of `schema.MADE`."""

WRITTEN = "written"
"""The kind of texts that a language model or a person wrote, unless they say their own."""

FILLED = ("made_from", "edit", "was", "became")
"""Columns of `schema.MADE` that a table of written texts may give."""

NO_TEXT, NO_QUERY = "with null or blank text", "whose query is not among the queries"
"""Why a row of --written is bad."""


@dataclass(frozen=True)
class Pair:
    """A query and one of its positives, by id and text."""

    query_id: str
    query: str
    positive_id: str
    positive: str


def as_table(rows: Sequence[Row]) -> pa.Table:
    """Return rows as a table."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * len(schema.MADE)
    return pa.table(columns, schema=schema.MADE)


def usable(made: pa.Table, documents: Texts, queries: Texts) -> tuple[Bools, Counts]:
    """Tell which texts are neither blank nor copies of a document or of the query.

    Returns:
        Shape (rows,), and how many are made and dropped.
    """
    texts = made["text"].to_pylist()
    there = documents.find_same(texts) >= 0
    blank = np.array([is_blank(text) for text in texts], dtype=bool)
    asked = queries.find_ids(made["made_for"].to_pylist())
    query = ~there & ~blank & (queries.find_same(texts) == queries.identity[asked])
    return ~(there | blank | query), {
        "made": len(texts),
        "dropped_blank": int(blank.sum()),
        "dropped_as_documents": int((there & ~blank).sum()),
        "dropped_as_query": int(query.sum()),
    }


def read_written(
    table: Table, queries: Texts, bad: BadRows, tick: Tick, corpus: Iterable[str]
) -> pa.Table:
    """Return the texts of --written with all their columns; one for an unknown query is a bad row.

    The columns of `FILLED` are taken from there. A column with a name that a corpus uses for
    its ids, texts or titles gets another one.

    Args:
        table: to read.
        queries: that the texts are for.
        bad: records bad rows.
        tick: called with the number of rows just read.
        corpus: names of the corpus' ids, texts and titles.
    """
    own = [name for name in FILLED if name in table.metadata]
    more = _renamed([name for name in table.metadata if name not in own], corpus)
    fields = [*schema.MADE, *(pa.field(new, table.metadata[name]) for name, new in more.items())]
    parts = [pa.schema(fields).empty_table()]
    for start, batch in table.batches(bad):
        texts, rows, ids = _good_rows(table, batch, start, queries, bad)
        given = {name: batch[name].take(rows) for name in (*own, *more)}
        columns = {"text": texts, "made_for": ids, "edit": pa.array([WRITTEN] * len(rows))}
        columns |= {name: as_strings(given[name], name, table.path) for name in own}
        columns["edit"] = pc.fill_null(columns["edit"], WRITTEN)
        columns |= {new: given[name] for name, new in more.items()}
        arrays = [columns.get(field.name, pa.nulls(len(rows))).cast(field.type) for field in fields]
        parts.append(pa.Table.from_arrays(arrays, schema=parts[0].schema))
        tick(batch.num_rows)
    return pa.concat_tables(parts)


def _good_rows(
    table: Table, batch: pa.RecordBatch, start: int, queries: Texts, bad: BadRows
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return the texts that are not blank, of known queries, with their rows and query ids."""
    name = table.columns["text"]
    owner, texts = as_string_lists(batch[name], name, table.path)
    rows = np.asarray(owner)
    ids = np.array(_query_ids(table, batch), dtype=object)[rows]
    blank = np.array([is_blank(text) for text in texts.to_pylist()], dtype=bool)
    unknown = ~blank & (queries.find_ids(query or "" for query in ids) < 0)
    for wrong, why in ((blank, NO_TEXT), (unknown, NO_QUERY)):
        for row in rows[wrong].tolist():
            bad.add(why, f"{table.path}, row {start + row}")
    good = ~(blank | unknown)
    return texts.filter(pa.array(good)), pa.array(rows[good]), pa.array(ids[good], pa.string())


def _renamed(names: Iterable[str], corpus: Iterable[str]) -> dict[str, str]:
    """Return a name for each column under which a corpus takes it for metadata."""
    roles = (name for names in CONVENTIONS["corpus"].values() for name in names)
    taken = {folded(name) for name in (*roles, *corpus, *schema.MADE.names)}
    found = {}
    for name in names:
        new = name
        while folded(new) in taken:
            new = f"{WRITTEN}_{new}"
        taken.add(folded(new))
        found[name] = new
    return found


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
        parts: files of `schema.MADE`, with further columns.
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
    whole = pa.unify_schemas([schema.MADE, *map(pq.read_schema, parts)])
    with pq.ParquetWriter(path, columns(whole.empty_table()).schema, compression="zstd") as out:
        for part in parts:
            table = pq.read_table(part)
            table = table.filter(pa.array(keep[start : start + len(table)]))
            start += pq.read_metadata(part).num_rows
            for kind in table["edit"].to_pylist():
                counts[f"texts_{kind}"] = counts.get(f"texts_{kind}", 0) + 1
            table = pa.concat_tables([whole.empty_table(), table], promote_options="default")
            out.write_table(columns(table))
    return counts
