"""Exact scores of given documents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.index.bm25.common import Common, add_common, columns_of
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
    indptr, documents = postings
    frequencies, lengths, idf, (variant, k1, b, delta, avgdl) = statistics
    columns, factors = columns_of(terms, common), weights * idf[terms]
    tabulated = columns >= 0
    scores[:] = 0.0
    add_common(
        terms[tabulated], columns[tabulated], factors[tabulated], candidates, postings, statistics,
        common, scores,
    )  # fmt: skip
    few, low = 0, np.empty(len(candidates), np.uint32)
    if len(places):
        few = _STEPS * len(candidates)
        for c in range(len(candidates)):
            places[candidates[c]] = c + 1
    for j in range(len(terms)):
        if tabulated[j]:
            continue
        first = indptr[terms[j]]
        owners = documents[first : indptr[terms[j] + 1]]
        if len(owners) <= few:
            for i in range(len(owners)):
                c = places[owners[i]]
                if c > 0:
                    tf, dl = frequencies[first + i], lengths[owners[i]]
                    scores[c - 1] += factors[j] * gain(variant, tf, dl, k1, b, delta, avgdl)
            continue
        # All binary searches go down together, one level at a time: they wait for memory at the
        # same time instead of one after the other, five times as fast.
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
                scores[c] += factors[j] * gain(variant, tf, dl, k1, b, delta, avgdl)
    if len(places):
        for c in range(len(candidates)):
            places[candidates[c]] = 0


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
