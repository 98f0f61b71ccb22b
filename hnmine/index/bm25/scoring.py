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

# So many are compared each with each, by vector instructions, sooner than they are sorted.
_FEW = 256


@compiled()
def score_documents(
    terms: Ints,
    weights: Ints,
    candidates: NDArray[np.int32],
    postings: Postings,
    statistics: Statistics,
    common: Common,
    scores: Floats,
) -> None:
    """Write the float64 scores of some documents, absent constants left out, into `scores`.

    Args:
        terms: distinct terms of the query, ascending, shape (m,).
        weights: how often each occurs in the query, shape (m,).
        candidates: documents, in any order, shape (n,).
        postings: of the index.
        statistics: of the index.
        common: table of common terms; may be empty.
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
    low = np.empty(len(candidates), np.uint32)
    for j in np.flatnonzero(~tabulated):
        term = terms[j]
        owners = documents[indptr[term] : indptr[term + 1]]
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
                tf, dl = frequencies[indptr[term] + low[c]], lengths[candidates[c]]
                scores[c] += factors[j] * gain(variant, tf, dl, k1, b, delta, avgdl)


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
    for q in range(len(offsets) - 1):
        mine, given = slice(offsets[q], offsets[q + 1]), slice(pairs[q], pairs[q + 1])
        score_documents(
            terms[mine], weights[mine], candidates[given], postings, statistics, common,
            scores[given],
        )  # fmt: skip


@compiled()
def best(scores: Floats, k: int) -> Ints:
    """Positions of the k highest scores, best first, equal ones by position."""
    if len(scores) > _FEW:
        return np.argsort(-scores, kind="mergesort")[:k]
    order = np.empty(len(scores), np.int64)
    for i in range(len(scores)):
        place = np.int32(0)
        for j in range(i):
            place = np.int32(place + np.int32(scores[j] >= scores[i]))
        for j in range(i, len(scores)):
            place = np.int32(place + np.int32(scores[j] > scores[i]))
        order[place] = i
    return order[:k]
