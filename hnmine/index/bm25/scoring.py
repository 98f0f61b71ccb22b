"""Exact scores of given documents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.index.bm25.common import Common, add_common, columns_of, factors_of, picked
from hnmine.index.bm25.formula import Postings, Statistics, gain
from hnmine.ragged import Floats, Ints

# Boundaries of the queries, their distinct terms, ascending in each, and how often each occurs.
Queries = tuple[Ints, Ints, Ints]
# A place for each document, all 0, or none at all.
Places = NDArray[np.int32]
# A list of so many postings for each candidate is walked sooner than it is searched.
_STEPS = 5


@compiled()
def score_documents(
    terms: Ints,
    weights: Ints,
    candidates: NDArray[np.int32],
    postings: Postings,
    statistics: Statistics,
    common: Common,
    places: Places,
    scores: Floats,
) -> None:
    """Write the float64 scores of some documents, absent constants left out, into `scores`.

    Args:
        terms: distinct terms of the query, ascending, shape (m,).
        weights: how often each occurs in the query, shape (m,).
        candidates: documents, in any order, shape (n,); each once where there are places.
        postings: of the index.
        statistics: of the index.
        common: table of common terms; may be empty.
        places: where short lists are walked instead of searched; 0 again on return.
        scores: the output, shape (n,).
    """
    indptr, idf = postings[0], statistics[2]
    columns, factors = columns_of(terms, common), factors_of(terms, weights, idf)
    tabulated = np.empty(len(terms), np.bool_)
    for j in range(len(terms)):
        tabulated[j] = columns[j] >= 0
    scores[:] = 0.0
    add_common(
        picked(terms, tabulated), picked(columns, tabulated), picked(factors, tabulated),
        candidates, postings, statistics, common, scores,
    )  # fmt: skip
    few, low = 0, np.empty(len(candidates), np.uint32)
    if len(places):
        few = _STEPS * len(candidates)
        for c in range(len(candidates)):
            places[candidates[c]] = c + 1
    for j in range(len(terms)):
        if tabulated[j]:
            continue
        if indptr[terms[j] + 1] - indptr[terms[j]] <= few:
            _walk(terms[j], factors[j], postings, statistics, places, scores)
        else:
            _look_up(terms[j], factors[j], candidates, postings, statistics, low, scores)
    if len(places):
        for c in range(len(candidates)):
            places[candidates[c]] = 0


@compiled()
def _walk(
    term: int,
    factor: float,
    postings: Postings,
    statistics: Statistics,
    places: Places,
    scores: Floats,
) -> None:
    """Add what a term adds to the documents that have places."""
    (indptr, documents), (frequencies, lengths, _, formula) = postings, statistics
    variant, k1, b, delta, avgdl = formula
    for i in range(indptr[term], indptr[term + 1]):
        place = places[documents[i]]
        if place > 0:
            tf, dl = frequencies[i], lengths[documents[i]]
            scores[place - 1] += factor * gain(variant, tf, dl, k1, b, delta, avgdl)


@compiled()
def _look_up(
    term: int,
    factor: float,
    candidates: NDArray[np.int32],
    postings: Postings,
    statistics: Statistics,
    low: NDArray[np.uint32],
    scores: Floats,
) -> None:
    """Add what a term adds to the candidates; `low` is scratch, shape (n,)."""
    (indptr, documents), (frequencies, lengths, _, formula) = postings, statistics
    variant, k1, b, delta, avgdl = formula
    first = indptr[term]
    owners = documents[first : indptr[term + 1]]
    # All binary searches go down together, one level at a time: they wait for memory at the same
    # time instead of one after the other, five times as fast.
    low[:] = 0
    rest = len(owners)
    while rest > 1:
        half = np.uint32(rest >> 1)
        for c in range(len(candidates)):
            middle = low[c] + half
            low[c] = middle if owners[middle] <= candidates[c] else low[c]
        rest -= rest >> 1
    for c in range(len(candidates)):
        if owners[low[c]] == candidates[c]:
            tf, dl = frequencies[first + low[c]], lengths[candidates[c]]
            scores[c] += factor * gain(variant, tf, dl, k1, b, delta, avgdl)


@compiled()
def score_pairs(
    queries: Queries,
    pairs: Ints,
    candidates: NDArray[np.int32],
    postings: Postings,
    statistics: Statistics,
    common: Common,
    scores: Floats,
) -> None:
    """Call `score_documents` for each query, whose candidates are between two of `pairs`."""
    offsets, terms, weights = queries
    # Pairs may name a document twice.
    places = np.empty(0, np.int32)
    for q in range(len(offsets) - 1):
        mine, given = slice(offsets[q], offsets[q + 1]), slice(pairs[q], pairs[q + 1])
        score_documents(
            terms[mine], weights[mine], candidates[given], postings, statistics, common,
            places, scores[given],
        )  # fmt: skip
