"""Compiled loops over posting lists: exact search and scoring."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hnmine.index.bm25.formula import Postings, Statistics, gain

BLOCK = 64
BINS = 1024
# Boundaries of the queries, their distinct terms, ascending in each, and how often each occurs.
Queries = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
# Half a unit in the last place of 1: the largest relative error of one rounding to float32.
_UNIT32 = 2.0**-24
# Common terms that add at most this share of the highest score thinkable are left out at first.
_SHARE_LEFT_OUT = 0.05


@njit(nogil=True, cache=True)
def score_documents(
    terms: NDArray[np.int64],
    weights: NDArray[np.int64],
    candidates: NDArray[np.int32],
    postings: Postings,
    statistics: Statistics,
    scores: NDArray[np.float64],
) -> None:
    """Write the float64 scores of some documents, absent constants left out, into `scores`.

    Args:
        terms: distinct terms of the query, ascending, shape (m,).
        weights: how often each occurs in the query, shape (m,).
        candidates: documents, in any order, shape (n,).
        postings: of the index.
        statistics: of the index.
        scores: the output, shape (n,).
    """
    indptr, documents = postings
    frequencies, lengths, idf, (variant, k1, b, delta, avgdl) = statistics
    scores[:] = 0.0
    low = np.empty(len(candidates), np.uint32)
    for j in range(len(terms)):
        term = terms[j]
        owners = documents[indptr[term] : indptr[term + 1]]
        factor = weights[j] * idf[term]
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
                scores[c] += factor * gain(variant, tf, dl, k1, b, delta, avgdl)


@njit(nogil=True, cache=True)
def _floor_of(
    values: NDArray[np.float32], k: int, low: float, histogram: NDArray[np.int32]
) -> float:
    """Bound the k-th largest value from below by a histogram of what is above `low`; `low` if none.

    Every comparison is made on the bin numbers, which never fall as the value grows, so rounding
    cannot raise the bound above the k-th value but for the last conversion, which has a margin.
    """
    top = np.float32(0.0)
    for i in range(len(values)):
        top = max(top, values[i])
    start = np.float32(low)
    if k > len(values) or not top - start > 1e-6 * top or top < 1e-30:
        return low
    scale = np.float32(BINS - 1) / (top - start)
    histogram[:] = 0
    for i in range(len(values)):
        if values[i] > start:
            histogram[int((values[i] - start) * scale)] += 1
    above = 0
    for b in range(len(histogram) - 1, 0, -1):
        above += histogram[b]
        if above >= k:
            return max(low, (start + b / np.float64(scale)) * (1.0 - 1e-6))
    return low


@njit(nogil=True, cache=True)
def _accumulate(
    terms: NDArray[np.int64],
    weights: NDArray[np.int64],
    indptr: NDArray[np.int64],
    documents: NDArray[np.int32],
    impacts: NDArray[np.float32],
    sums: NDArray[np.float32],
) -> None:
    # Unsigned subscripts spare the test for a negative one, a quarter of this loop's time.
    subscripts = documents.view(np.uint32)
    for j in range(len(terms)):
        start, end = indptr[terms[j]], indptr[terms[j] + 1]
        where, what = subscripts[start:end], impacts[start:end]
        weight = np.float32(weights[j])
        for i in range(len(where)):
            sums[where[i]] += weight * what[i]


@njit(nogil=True, cache=True)
def _gather_touched(
    terms: NDArray[np.int64],
    indptr: NDArray[np.int64],
    documents: NDArray[np.int32],
    sums: NDArray[np.float32],
    found: NDArray[np.int32],
    values: NDArray[np.float32],
) -> int:
    """Move every sum above 0 out of `sums` by walking the posting lists again; short lists only."""
    n = 0
    for j in range(len(terms)):
        for i in range(indptr[terms[j]], indptr[terms[j] + 1]):
            document = documents[i]
            if sums[document] > 0:
                found[n], values[n] = document, sums[document]
                sums[document] = 0.0
                n += 1
    return n


@njit(nogil=True, cache=True)
def _leave_out(
    k: int,
    blocks: int,
    terms: NDArray[np.int64],
    weights: NDArray[np.int64],
    indptr: NDArray[np.int64],
    peaks: NDArray[np.float32],
) -> tuple[NDArray[np.bool_], float]:
    """Choose common terms that hardly count, and bound what they may add to a score together.

    The idea of MaxScore (Turtle and Flood 1995, "Query evaluation: strategies and optimizations"),
    once for a whole query.
    """
    left_out, bound = np.zeros(len(terms), np.bool_), 0.0
    if 4 * k > blocks:
        return left_out, bound
    most = weights * peaks[terms].astype(np.float64)
    budget = _SHARE_LEFT_OUT * np.sum(most)
    for j in np.argsort(most):
        if bound + most[j] > budget:
            break
        if indptr[terms[j] + 1] - indptr[terms[j]] > blocks:
            left_out[j] = True
            bound += most[j]
    return left_out, bound


@njit(nogil=True, cache=True)
def _maxima_of_blocks(sums: NDArray[np.float32], maxima: NDArray[np.float32]) -> None:
    # Bit patterns of floats from 0 up are in the order of the floats, and the maximum of integers
    # is vectorised where that of floats, because of NaN, is not. So is a loop over a slice, where
    # one with computed subscripts is not: together, ten times as fast.
    bits, maxima_bits = sums.view(np.int32), maxima.view(np.int32)
    for block in range(len(maxima)):
        row = bits[block * BLOCK : (block + 1) * BLOCK]
        top = np.int32(0)
        for i in range(len(row)):
            top = max(top, row[i])
        maxima_bits[block] = top


@njit(nogil=True, cache=True)
def _gather_blocks(
    cut: np.float32,
    sums: NDArray[np.float32],
    maxima: NDArray[np.float32],
    found: NDArray[np.int32],
    values: NDArray[np.float32],
) -> int:
    """Copy the sums from `cut` up, by way of the maxima of blocks, and clear all sums."""
    n = 0
    for block in range(len(maxima)):
        if maxima[block] >= cut:
            for document in range(block * BLOCK, (block + 1) * BLOCK):
                found[n], values[n] = document, sums[document]
                n += sums[document] >= cut
    sums[:] = 0.0
    return n


@njit(nogil=True, cache=True)
def _cut(floor: float, slack: tuple[float, float]) -> np.float32:
    """Lower a bound of the k-th float32 sum to where no document of the exact best k is missed."""
    relative, absolute = slack
    return np.float32(max(floor * (1.0 - relative) - absolute, 1e-45))


@njit(nogil=True, cache=True)
def _candidates(
    k: int,
    n: int,
    slack: tuple[float, float],
    histogram: NDArray[np.int32],
    found: NDArray[np.int32],
    values: NDArray[np.float32],
) -> NDArray[np.int32]:
    """Narrow `found[:n]` to what is within the error bound of the k-th, ascending."""
    # The second histogram divides one or two bins of the first into 1,024.
    floor = _floor_of(values[:n], k, 0.0, histogram)
    cut = _cut(_floor_of(values[:n], k, floor, histogram), slack)
    kept = 0
    for i in range(n):
        found[kept] = found[i]
        kept += values[i] >= cut
    return np.sort(found[:kept])


@njit(nogil=True, cache=True)
def _best(scores: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Positions of the k highest scores, best first, equal ones by position."""
    n = len(scores)
    chosen = np.arange(n)
    if n > k:
        kth = np.partition(scores, n - k)[n - k]
        ties = k - np.sum(scores > kth)
        kept = 0
        for i in range(n):
            if scores[i] > kth or (scores[i] == kth and ties > 0):
                ties -= scores[i] == kth
                chosen[kept] = i
                kept += 1
        chosen = chosen[:k]
    return chosen[np.argsort(-scores[chosen], kind="mergesort")]


@njit(nogil=True, cache=True)
def _select(
    k: int,
    terms: NDArray[np.int64],
    weights: NDArray[np.int64],
    absent: float,
    postings: Postings,
    impacts: NDArray[np.float32],
    peaks: NDArray[np.float32],
    sums: NDArray[np.float32],
    maxima: NDArray[np.float32],
    histogram: NDArray[np.int32],
    found: NDArray[np.int32],
    values: NDArray[np.float32],
) -> NDArray[np.int32]:
    """Return, ascending, documents among which are the exact best k; all idf are from 0 up.

    A float32 sum of m terms has m - 1 roundings, and the weight and the impact of each one more,
    so its relative error is below (m + 1) u / (1 - (m + 1) u), u = 2 ** -24 (Higham 2002,
    "Accuracy and Stability of Numerical Algorithms", section 3.1). `sums` is cleared on return.
    """
    indptr, documents = postings
    # Three roundings more than that: for cutting in float32, and far less for float64 itself.
    error = (len(terms) + 4) * _UNIT32
    slack = (2.0 * error / (1.0 - error), absent * 2.0**-50)
    if np.sum(indptr[terms + 1] - indptr[terms]) * 8 < len(sums):
        _accumulate(terms, weights, indptr, documents, impacts, sums)
        n = _gather_touched(terms, indptr, documents, sums, found, values)
        return _candidates(k, n, slack, histogram, found, values)
    out, bound = _leave_out(k, len(maxima), terms, weights, indptr, peaks)
    _accumulate(terms[~out], weights[~out], indptr, documents, impacts, sums)
    _maxima_of_blocks(sums, maxima)
    floor = _floor_of(maxima, k, 0.0, histogram)
    if bound > 0:
        wide = (slack[0], slack[1] + bound * (1.0 + error))
        # What was left out must be put in if it alone may make one of the best k, or if too many
        # documents would have to be scored for want of it.
        if floor * (1.0 - wide[0]) > wide[1] and np.sum(maxima >= _cut(floor, wide)) <= 4 * k:
            slack = wide
        else:
            _accumulate(terms[out], weights[out], indptr, documents, impacts, sums)
            _maxima_of_blocks(sums, maxima)
            floor = _floor_of(maxima, k, 0.0, histogram)
    n = _gather_blocks(_cut(floor, slack), sums, maxima, found, values)
    return _candidates(k, n, slack, histogram, found, values)


@njit(nogil=True, cache=True)
def search_queries(
    first: int,
    last: int,
    queries: Queries,
    k: NDArray[np.int64],
    absent: NDArray[np.float64],
    postings: Postings,
    statistics: Statistics,
    impacts: NDArray[np.float32],
    peaks: NDArray[np.float32],
    starts: NDArray[np.int64],
    output: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]],
) -> None:
    """Write the best `k[q]` documents of the queries from `first` to before `last`.

    The float32 sums select; whatever their error bound cannot tell apart is scored in float64.

    Args:
        first: number of the first query.
        last: number after the last query.
        queries: all queries.
        k: how many documents each query wants, at most the number of documents.
        absent: sum of the absent constants of each query.
        postings: of the index.
        statistics: of the index.
        impacts: of the postings.
        peaks: the largest impact of each term.
        starts: where the output of each query begins.
        output: slots and scores of the hits, and how many hits each query has.
    """
    offsets, all_terms, all_weights = queries
    slots, scores, counts = output
    documents, idf = len(statistics[1]), statistics[2]
    blocks = (documents + BLOCK - 1) // BLOCK
    sums, maxima = np.zeros(blocks * BLOCK, np.float32), np.empty(blocks, np.float32)
    # One more than there are documents: appending writes first and decides afterwards.
    found, values = np.empty(documents + 1, np.int32), np.empty(documents + 1, np.float32)
    histogram = np.empty(BINS, np.int32)
    for q in range(first, last):
        terms = all_terms[offsets[q] : offsets[q + 1]]
        weights = all_weights[offsets[q] : offsets[q + 1]]
        counts[q] = 0
        if k[q] == 0:
            continue
        if np.min(idf[terms]) < 0:
            # Terms that cancel have no relative error bound. Only a corpus of a few words, most of
            # them in most documents, has a negative idf.
            candidates = np.arange(documents).astype(np.int32)
        else:
            candidates = _select(
                k[q], terms, weights, absent[q], postings, impacts, peaks,
                sums, maxima, histogram, found, values,
            )  # fmt: skip
        exact = np.empty(len(candidates), np.float64)
        score_documents(terms, weights, candidates, postings, statistics, exact)
        matches = exact > 0
        candidates, exact = candidates[matches], exact[matches] + absent[q]
        chosen = _best(exact, k[q])
        start, counts[q] = starts[q], len(chosen)
        for i in range(len(chosen)):
            slots[start + i], scores[start + i] = candidates[chosen[i]], exact[chosen[i]]


@njit(nogil=True, cache=True)
def score_pairs(
    queries: Queries,
    pairs: NDArray[np.int64],
    candidates: NDArray[np.int32],
    postings: Postings,
    statistics: Statistics,
    scores: NDArray[np.float64],
) -> None:
    """Call `score_documents` for each query, whose candidates are between two of `pairs`."""
    offsets, terms, weights = queries
    for q in range(len(offsets) - 1):
        mine, given = slice(offsets[q], offsets[q + 1]), slice(pairs[q], pairs[q + 1])
        score_documents(
            terms[mine], weights[mine], candidates[given], postings, statistics, scores[given]
        )
