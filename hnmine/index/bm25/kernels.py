"""Compiled search of many queries."""

from __future__ import annotations

import numpy as np

from hnmine.compiled import compiled
from hnmine.index.bm25.common import Index
from hnmine.index.bm25.scoring import Queries, best, score_documents
from hnmine.index.bm25.selection import scratch_of, select
from hnmine.ragged import Floats, Ints


@compiled()
def search_queries(
    first: int,
    last: int,
    queries: Queries,
    k: Ints,
    absent: Floats,
    index: Index,
    starts: Ints,
    output: tuple[Ints, Floats, Ints],
) -> None:
    """Write the best `k[q]` documents of the queries from `first` to before `last`.

    The float32 sums select; whatever their error bound cannot tell apart is scored in float64.

    Args:
        first: number of the first query.
        last: number after the last query.
        queries: all queries.
        k: how many documents each query wants, at most the number of documents.
        absent: sum of the absent constants of each query.
        index: to search.
        starts: where the output of each query begins.
        output: slots and scores of the hits, and how many hits each query has.
    """
    offsets, all_terms, all_weights = queries
    slots, scores, counts = output
    postings, statistics, _, _, common = index
    documents, idf = len(statistics[1]), statistics[2]
    scratch = scratch_of(documents)
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
            candidates = select(k[q], terms, weights, absent[q], index, scratch)
        exact = np.empty(len(candidates), np.float64)
        score_documents(terms, weights, candidates, postings, statistics, common, exact)
        matches = exact > 0
        candidates, exact = candidates[matches], exact[matches] + absent[q]
        chosen = best(exact, k[q])
        start, counts[q] = starts[q], len(chosen)
        for i in range(len(chosen)):
            slots[start + i], scores[start + i] = candidates[chosen[i]], exact[chosen[i]]
