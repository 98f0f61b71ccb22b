"""Which depth the default choice aims at where nobody says it: tried on a part of the queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.choose import choose
from hnmine.directories.candidates import Candidates
from hnmine.keyed_noise import hashes, keyed_noise
from hnmine.ragged import Floats, Ints, offsets_of, position_in_list
from hnmine.relevance.depth_price import cost, price_of_depth
from hnmine.relevance.depth_trial import (
    FEWEST,
    MOST,
    MOST_NEGATIVES,
    OTHERS,
    SEED,
    USUAL,
    Trial,
    compare,
)
from hnmine.sources.queryvectors import QueryVectors

DOCUMENTS = 1 << 13
"""Documents among which positives are ranked, besides those that are trained on."""


def try_depths(
    candidates: Candidates,
    rows: pa.Table,
    free: NDArray[np.bool_],
    below: NDArray[np.bool_],
    relevance: Floats,
    place: Floats,
    negatives: int,
    threads: int,
) -> dict[str, Any]:
    """Return `trial.compare`'s choice; the usual depth where there is too little to try it on.

    Args:
        candidates: that the rows are of.
        rows: of a sample of queries, sorted by query.
        free: whether a row may be chosen, shape (rows,).
        below: whether it scores below its query's positive.
        relevance: log likelihood ratio, shape (rows,).
        place: what depth counts, shape (rows,).
        negatives: for each query.
        threads: to read vectors with.
    """
    # The students are trained by cosines; what they make of lengths that count was not measured.
    if not candidates.has_dense_scores or candidates.index.encoder.similarity != "cosine":
        return {"depth": USUAL}
    drawn = _draw(rows)
    if drawn is None:
        return {"depth": USUAL}
    rows, free, below = rows.filter(drawn), free[drawn], below[drawn]
    relevance, place = relevance[drawn], place[drawn]
    query_rows = rows["query_row"].to_numpy()
    starts = np.flatnonzero(np.diff(query_rows, prepend=-1))
    query = (np.cumsum(np.diff(query_rows, prepend=-1) != 0) - 1).astype(np.int64)
    slots = candidates.index.documents.slots(rows["doc_row"].to_numpy())
    is_positive = rows["is_positive"].to_numpy()
    of_query, at = np.unique(query[is_positive], return_index=True)
    positives = slots[np.flatnonzero(is_positive)[at]]
    n = min(negatives, MOST_NEGATIVES)

    def chosen_of(rows_: NDArray[np.bool_], depth: float) -> NDArray[np.bool_]:
        price = price_of_depth(query, rows_, relevance, place, n, depth)
        order = cost(relevance) + price * np.nan_to_num(place)
        return choose(query, rows_, order, np.full(len(of_query), n))

    chosen = {depth: chosen_of(free, depth) for depth in (USUAL, *OTHERS)}
    surest = {depth: chosen_of(free & below, depth) for depth in OTHERS if depth < USUAL}
    kept = np.any([*chosen.values(), *surest.values(), _few(rows, slots), is_positive], axis=0)
    documents = np.unique(slots[kept])
    others = np.ones((len(of_query), len(documents)), dtype=bool)
    copies = ~free & kept
    others[query[copies], np.searchsorted(documents, slots[copies])] = False
    vectors = candidates.index.vectors(threads)
    asked = QueryVectors(candidates.paths, candidates.queries, threads, "cosine")
    ids = rows["query_id"].to_pylist()
    trial = Trial(
        [ids[start] for start in starts],
        asked.read(query_rows[starts]).astype(np.float64),
        vectors.read(documents).astype(np.float64),
        np.searchsorted(documents, positives),
        others,
    )
    places = np.searchsorted(documents, slots)
    lists = [
        {depth: _lists(query, rows_, places, n) for depth, rows_ in some.items()}
        for some in (chosen, surest)
    ]
    return compare(trial, *lists)


def _draw(rows: pa.Table) -> NDArray[np.bool_] | None:
    """Mark the rows of the queries to try depths on; None where too few have a positive."""
    query_rows, is_positive = rows["query_row"].to_numpy(), rows["is_positive"].to_numpy()
    known, first = np.unique(query_rows[is_positive], return_index=True)
    if len(known) < FEWEST:
        return None
    ids = rows["query_id"].filter(pa.array(is_positive)).take(pa.array(first)).to_pylist()
    noise = keyed_noise(SEED, ids, ["drawn"] * len(ids))
    return np.isin(query_rows, known[np.argsort(noise, kind="stable")[:MOST]])


def _few(rows: pa.Table, slots: Ints) -> NDArray[np.bool_]:
    """Mark the rows of so many documents as positives are ranked among, drawn by id."""
    distinct, first = np.unique(slots, return_index=True)
    ids = rows["doc_id"].take(pa.array(first)).to_pylist()
    drawn = np.argsort(hashes(ids, SEED), kind="stable")[:DOCUMENTS]
    return np.isin(slots, distinct[drawn])


def _lists(query: Ints, chosen: NDArray[np.bool_], places: Ints, n: int) -> Ints:
    """Return the documents chosen for each query, shape (queries, n); -1 where there is none."""
    lists = np.full((int(query.max()) + 1, n), -1)
    counts = np.bincount(query[chosen], minlength=len(lists))
    lists[query[chosen], position_in_list(offsets_of(counts))] = places[chosen]
    return lists
