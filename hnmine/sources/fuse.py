"""Fuse the hits of all sources into the candidate table of a block of queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine import schema
from hnmine.index.topk import Ranking
from hnmine.inputs.texts import Texts
from hnmine.names import rank_of, score_of
from hnmine.ragged import Bools, Ints, offsets_of, position_in_list
from hnmine.sources.shingles import Remembered, containments
from hnmine.sources.source import Asked, Score, Source

RRF_CONSTANT = 60
"""Constant of reciprocal rank fusion, with ranks from 1 (Cormack, Clarke and Buettcher, SIGIR
2009)."""

VOTE_DECIMALS = 14
"""Decimals of the fused score: coarser than the error of a float64 sum, finer than the difference
of neighbouring ranks down to rank ten million."""

DEEPER = 4
"""Factor by which a search is deepened when too few of its hits may be candidates."""

Columns = dict[str, NDArray[np.generic] | pa.Array]


@dataclass(frozen=True)
class Recipe:
    """How candidates are found and scored.

    Attributes:
        sources: by the prefix of their columns.
        depths: candidates from each of them for each query.
        scores: sources that score all candidates, by the prefix of their columns.
        eligible: given query rows and document rows, returns which pairs may be candidates.
        derived: given the same, returns further columns.
        remembered: cached shingles of documents, from block to block.
    """

    sources: Mapping[str, Source]
    depths: Mapping[str, int]
    scores: Mapping[str, Callable[[Asked], Score]] = field(default_factory=dict)
    eligible: Callable[[Ints, Ints], Bools] | None = None
    derived: Callable[[Ints, Ints], Mapping[str, pa.ChunkedArray]] | None = None
    remembered: Remembered = field(default_factory=Remembered)


def mine_block(asked: Asked, documents: Texts, recipe: Recipe) -> pa.Table:
    """Search for a block of queries and return its candidates, `schema.CANDIDATES` and more.

    Each source returns one more document for each positive of the query and for the query's own
    text, and is searched deeper if a condition leaves too few. So every query gets the depth asked
    for if the corpus is large enough.

    Args:
        asked: the queries.
        documents: of the index.
        recipe: how to search.
    """
    rows, (offsets, positive_rows) = asked.rows, asked.positives
    # A pair of a query of the block and a document is one number: query * width + slot.
    width = len(documents.canonical)
    owner = np.repeat(np.arange(len(rows)), np.diff(offsets))
    positive_keys = owner * width + documents.slots(positive_rows)
    same = documents.find_same(asked.texts)
    itself = np.flatnonzero(same >= 0)
    query_keys = itself * width + documents.slots(same[itself])
    never = np.union1d(positive_keys, query_keys)

    def may_be_candidate(keys: Ints) -> Bools:
        eligible: Bools = ~np.isin(keys, never)
        if recipe.eligible is not None:
            at = np.flatnonzero(eligible)
            query, slots = keys[at] // width, keys[at] % width
            eligible[at] = recipe.eligible(rows[query], documents.canonical[slots])
        return eligible

    hits = {
        name: _find(source, asked, recipe.depths[name], never, width, may_be_candidate)
        for name, source in recipe.sources.items()
    }
    keys = np.unique(np.concatenate([positive_keys, *(found for found, _ in hits.values())]))
    query, slots = keys // width, keys % width
    table: Columns = {}
    fields = []
    fused = np.zeros(len(keys))
    bounds = offsets_of(np.bincount(query, minlength=len(rows)))
    for name, (found, ranks) in hits.items():
        rank = np.full(len(keys), -1)
        rank[np.searchsorted(keys, found)] = ranks
        if recipe.sources[name].by_relevance:
            fused += np.where(rank >= 0, 1 / (RRF_CONSTANT + 1 + rank), 0)
        fields.append(schema.ranks(rank_of(name)))
        table[rank_of(name)] = pa.array(rank.astype(np.int32), mask=rank < 0)
    # The last bits of a sum depend on the order of its terms; rounding makes equal sums ties.
    fused = np.round(fused, VOTE_DECIMALS)
    for name, score in recipe.scores.items():
        scores = score(asked)(bounds, slots)
        fields.append(schema.scores(score_of(name)))
        table[score_of(name)] = pa.array(scores, mask=np.isnan(scores))
    doc_rows = documents.canonical[slots]
    # A positive keeps the id that the user gave, not that of its first copy.
    doc_rows[np.searchsorted(keys, positive_keys)] = positive_rows
    is_positive = np.isin(keys, positive_keys)
    is_query = np.isin(keys, query_keys)
    copies = near_copies(documents, doc_rows, query, is_positive, recipe.remembered)
    order = np.lexsort((slots, -fused, query))
    table |= {
        "rank": _rank(query, order, is_positive | is_query),
        "rrf_score": fused,
        **{name: pa.array(values, mask=is_positive) for name, values in copies.items()},
        "grade": _grades(asked, documents, keys, width),
        "is_positive": is_positive,
        "is_query": is_query,
        "query_row": rows[query],
        "doc_row": doc_rows,
        "query_id": asked.queries.texts.id_array(rows[query]),
        "doc_id": documents.id_array(doc_rows),
    }
    more = recipe.derived(rows[query], doc_rows) if recipe.derived else {}
    return _arrange(table, fields, more, order)


def _find(
    source: Source,
    asked: Asked,
    depth: int,
    never: Ints,
    width: int,
    may_be_candidate: Callable[[Ints], Bools],
) -> tuple[Ints, Ints]:
    """Return (keys, ranks) of the hits down to the last one needed for `depth` candidates."""
    search = source.search(asked)
    k = depth + np.bincount(never // width, minlength=len(asked.rows))
    finished: list[tuple[Ints, Ints]] = []
    while k.any():
        ranking = search(k)
        keys = ranking.query_of_hit * width + ranking.slots
        candidate = may_be_candidate(keys)
        counts = np.bincount(keys[candidate] // width, minlength=len(k))
        short = (counts < depth) & (np.diff(ranking.offsets) == k) & (k > 0) & (k < width)
        done = ~short[ranking.query_of_hit]
        keep = _down_to(ranking, candidate, depth) & done & (candidate | np.isin(keys, never))
        finished.append((keys[keep], position_in_list(ranking.offsets)[keep]))
        k = np.where(short, np.minimum(k * DEEPER, width), 0)
    found, ranks = (np.concatenate(column) for column in zip(*finished, strict=True))
    return found, ranks


def _down_to(ranking: Ranking, candidate: Bools, depth: int) -> Bools:
    """Return which hits have fewer than `depth` candidates before them."""
    before = offsets_of(candidate.astype(np.int64))
    of_earlier_queries = np.repeat(before[ranking.offsets[:-1]], np.diff(ranking.offsets))
    keep: Bools = before[:-1] - of_earlier_queries < depth
    return keep


def near_copies(
    documents: Texts, rows: Ints, query: Ints, is_positive: Bools, remembered: Remembered
) -> dict[str, NDArray[np.float32]]:
    """Return what candidates share with the positives of their query, by column, shape (rows,).

    Args:
        documents: of the index.
        rows: the document of each candidate; candidates are grouped by query.
        query: its query.
        is_positive: whether it is a positive.
        remembered: cached shingles.
    """
    distinct, position = np.unique(rows, return_inverse=True)
    hashed = remembered.of(distinct, documents.texts)
    positives = np.flatnonzero(is_positive)
    ranges = np.searchsorted(query[positives], query), np.searchsorted(query[positives], query + 1)
    contained, contains = containments(hashed, position, position[positives], ranges)
    near_copy = np.maximum(contained, contains)
    return {"near_copy": near_copy, "contained": contained, "contains": contains}


def _grades(asked: Asked, documents: Texts, keys: Ints, width: int) -> pa.Array:
    """Return the grade of each pair; null if it was not judged."""
    offsets, judged, values = asked.queries.judgements(asked.rows)
    query = np.repeat(np.arange(len(asked.rows)), np.diff(offsets))
    known = query * width + documents.slots(judged)
    grades = np.full(len(keys), np.nan)
    among = np.isin(known, keys)
    grades[np.searchsorted(keys, known[among])] = values[among]
    return pa.array(grades, mask=np.isnan(grades))


def _rank(query: Ints, order: Ints, never: Bools) -> pa.Array:
    """Rank each query's candidates from 0; null for positives and the query's own text."""
    counted = order[~never[order]]
    offsets = offsets_of(np.bincount(query[counted], minlength=int(query.max(initial=-1)) + 1))
    rank = np.zeros(len(query), dtype=np.int32)
    rank[counted] = position_in_list(offsets)
    return pa.array(rank, mask=never)


def _arrange(
    table: Columns, of_sources: list[pa.Field], more: Mapping[str, pa.ChunkedArray], order: Ints
) -> pa.Table:
    """Return a table with the columns in the order of the schema, further ones last."""
    rows = pa.array(order)
    fields, arrays = list(schema.CANDIDATES), []
    fields += [field for field in of_sources if field.name not in schema.CANDIDATES.names]
    for field_ in fields:
        column = table.get(field_.name)
        array = pa.nulls(len(order), field_.type) if column is None else pa.array(column).take(rows)
        arrays.append(array.cast(field_.type))
    for name, values in more.items():
        fields.append(pa.field(name, values.type))
        arrays.append(values.take(rows))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, schema.CANDIDATES.metadata))
