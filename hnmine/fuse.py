"""The candidate table of a block of queries: what every source found, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine import schema
from hnmine.index.topk import Ranking, offsets_of, position_in_list
from hnmine.positives import Queries
from hnmine.shingles import containment, shingles
from hnmine.sources.base import Source
from hnmine.texts import Texts

RRF_CONSTANT = 60
"""Of reciprocal rank fusion, with ranks from 1 (Cormack, Clarke and Buettcher, SIGIR 2009)."""

Ints = NDArray[np.int64]


def mine_block(
    rows: Ints,
    queries: Queries,
    documents: Texts,
    sources: Mapping[str, Source],
    top_k: int,
    scoring: Mapping[str, Source] | None = None,
) -> pa.Table:
    """Search for a block of queries and return its candidates, `schema.CANDIDATES`.

    Every source is asked for as many more documents as the query has positives, and one more for
    the query's own text, so that `top_k` candidates are left where the corpus has them.

    Args:
        rows: query rows, shape (n,).
        queries: with their positives.
        documents: of the index.
        sources: by name.
        top_k: candidates from each source for each query.
        scoring: sources that score what the others find, and find nothing themselves.
    """
    texts = queries.texts.texts(rows)
    offsets, positive_rows = queries.positives(rows)
    # One number for each (query of the block, document) makes sets of pairs sets of numbers.
    width = len(documents.canonical)
    owner = np.repeat(np.arange(len(rows)), np.diff(offsets))
    positive_keys = owner * width + documents.slots(positive_rows)
    same = documents.find_same(texts)
    itself = np.flatnonzero(same >= 0)
    query_keys = itself * width + documents.slots(same[itself])
    never = np.union1d(positive_keys, query_keys)
    k = top_k + np.bincount(never // width, minlength=len(rows))

    blocks = {name: source(texts) for name, source in {**sources, **(scoring or {})}.items()}
    hits = {name: _cut(blocks[name].search(k), never, width, top_k) for name in sources}
    keys = np.unique(np.concatenate([positive_keys, *(found for found, _ in hits.values())]))
    query, slots = keys // width, keys % width
    table: dict[str, NDArray[np.generic] | pa.Array] = {}
    fused = np.zeros(len(keys))
    bounds = offsets_of(np.bincount(query, minlength=len(rows)))
    for name, (found, ranks) in hits.items():
        rank = np.full(len(keys), -1)
        rank[np.searchsorted(keys, found)] = ranks
        fused += np.where(rank >= 0, 1 / (RRF_CONSTANT + 1 + rank), 0)
        table[f"{name}_rank"] = pa.array(rank.astype(np.int32), mask=rank < 0)
    for name, block in blocks.items():
        table[f"{name}_score"] = block.score(bounds, slots)
    doc_rows = documents.canonical[slots]
    # A positive goes by the id that the user gave it, not by that of its first copy.
    doc_rows[np.searchsorted(keys, positive_keys)] = positive_rows
    is_positive = np.isin(keys, positive_keys)
    is_query = np.isin(keys, query_keys)
    copies = near_copies(documents, doc_rows, query, is_positive)
    order = np.lexsort((slots, -fused, query))
    table |= {
        "rank": _rank(query, order, is_positive | is_query),
        "rrf_score": fused,
        "near_copy": pa.array(copies, mask=is_positive),
        "is_positive": is_positive,
        "is_query": is_query,
        "query_row": rows[query],
        "doc_row": doc_rows,
        "query_id": queries.texts.id_array(rows[query]),
        "doc_id": documents.id_array(doc_rows),
    }
    return _arrange(table, order)


def _cut(ranking: Ranking, never: Ints, width: int, top_k: int) -> tuple[Ints, Ints]:
    """Keep the best `top_k` hits that may be negatives, and what stands among them."""
    keys = ranking.query_of_hit * width + ranking.slots
    candidate = ~np.isin(keys, never)
    before = offsets_of(candidate.astype(np.int64))
    of_earlier_queries = np.repeat(before[ranking.offsets[:-1]], np.diff(ranking.offsets))
    keep = before[:-1] - of_earlier_queries < top_k
    return keys[keep], position_in_list(ranking.offsets)[keep]


def near_copies(
    documents: Texts, rows: Ints, query: Ints, is_positive: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return how much each candidate is a near copy of a positive of its query, shape (rows,).

    Args:
        documents: of the index.
        rows: the document of each candidate; candidates are grouped by query.
        query: its query.
        is_positive: whether it is a positive.
    """
    distinct, place = np.unique(rows, return_inverse=True)
    hashed = shingles(documents.texts(distinct))
    positives = np.flatnonzero(is_positive)
    ranges = np.searchsorted(query[positives], query), np.searchsorted(query[positives], query + 1)
    return containment(hashed, place, place[positives], ranges)


def _rank(query: Ints, order: Ints, never: NDArray[np.bool_]) -> pa.Array:
    """Number each query's candidates from 0 in their order; positives and itself have no number."""
    counted = order[~never[order]]
    offsets = offsets_of(np.bincount(query[counted], minlength=int(query.max(initial=-1)) + 1))
    rank = np.zeros(len(query), dtype=np.int32)
    rank[counted] = position_in_list(offsets)
    return pa.array(rank, mask=never)


def _arrange(columns: Mapping[str, NDArray[np.generic] | pa.Array], order: Ints) -> pa.Table:
    arrays = []
    for field in schema.CANDIDATES:
        if field.name in columns:
            column = columns[field.name]
            array = column if isinstance(column, pa.Array) else pa.array(column)
            arrays.append(array.take(pa.array(order)).cast(field.type))
        else:
            arrays.append(pa.nulls(len(order), field.type))
    return pa.Table.from_arrays(arrays, schema=schema.CANDIDATES)
