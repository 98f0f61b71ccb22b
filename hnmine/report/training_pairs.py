"""Positives and chosen negatives as an SQL table, and why train/ has as many rows as it has."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from hnmine.directories.scored_view import ScoredView
from hnmine.inputs.texts import Texts

COLUMNS = ["query_id", "doc_id", "label"]

TEXTS_AT_ONCE = 8192

LAYOUTS = {
    "triplet": "a row for each positive and each negative of a query",
    "n-tuple": "a row for each positive of a query, with all its negatives",
    "labeled-pair": "a row for each positive and a row for each negative",
    "labeled-list": "a row for each positive of a query, with all its negatives",
}
"""What a row of train/ is, by layout."""


def make_chosen(scored: ScoredView) -> None:
    """Create the SQL table `chosen`: a row for each positive and each chosen negative.

    Its columns are `COLUMNS` and `length`, in characters; null where texts cannot be read.
    """
    scored.ask(
        "create temp table chosen (query_id varchar, doc_id varchar, label tinyint, length bigint)"
    )
    texts = scored.mined.texts
    for batch in scored.dataset.to_batches(columns=COLUMNS, filter=ds.field("label").is_valid()):
        table = pa.Table.from_batches([batch])
        if texts is not None:
            lengths = list(_lengths(texts.index.documents, batch["doc_id"]))
            table = table.append_column("length", pa.chunked_array(lengths, pa.int64()))
        if table.num_rows:
            scored.add("chosen", table)


def _lengths(documents: Texts, ids: pa.Array) -> Iterator[pa.Array]:
    """Count the characters of documents, some at a time: texts are never all in memory."""
    for start in range(0, len(ids), TEXTS_AT_ONCE):
        rows = documents.find_ids(ids.slice(start, TEXTS_AT_ONCE).to_pylist())
        yield pc.utf8_length(documents.text_array(rows)).cast(pa.int64())


def rows_explained(scored: ScoredView) -> list[str]:
    """Return why train/ has more or fewer rows than there are negatives, a sentence each."""
    manifest = scored.mined.manifest
    counts, layout = manifest.counts, manifest.settings.format
    if layout not in LAYOUTS:
        return []
    said = [f"train/ has {counts['train_rows']:,} rows in the layout {layout}: {LAYOUTS[layout]}."]
    several, fewer = scored.ask(
        """
        select count(*) filter (where n > 0 and p > 1), count(*) filter (where n = 0 and p > 0)
        from (
            select count(*) filter (where label = 1) as p, count(*) filter (where label = 0) as n
            from chosen group by query_id
        )
        """
    )[0]
    if several and layout != "labeled-pair":
        said.append(
            f"{several:,} queries have several positives, and repeat their negatives for each."
        )
    if layout == "n-tuple" and counts["queries_short"]:
        asked = manifest.settings.num_negatives
        said.append(
            f"{counts['queries_short']:,} queries have no row, because they got fewer than {asked} "
            "negatives."
        )
    elif fewer and layout != "labeled-pair":
        said.append(f"{fewer:,} queries have no row, because they got no negative.")
    return said
