"""Search in an inverted index on disk."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import check_values
from hnmine.compiled import compiled
from hnmine.index.bm25.common import Index, common_terms
from hnmine.index.bm25.postings import Files
from hnmine.index.bm25.scoring import Queries, score_documents, score_pairs
from hnmine.index.bm25.selection import scratch_of, select
from hnmine.index.bm25.vocabulary import find_terms, letters
from hnmine.index.order import best
from hnmine.index.topk import Ranking
from hnmine.ragged import Floats, Ints, offsets_of, position_in_list
from hnmine.runner.checkpoints import on_threads


class BM25Index:
    """Exact BM25 search in an index of `merge_counts`.

    A document matches a query if it holds a term of the query and its score, without the constants
    of every document, is above 0. Scores are float64; float32 impacts only select documents.
    """

    def __init__(self, directory: Path, threads: int = 1, documents: int | None = None) -> None:
        """Open an index, memory-mapped.

        Raises:
            InputError: a file is missing or damaged.
        """
        self._files = files = Files(directory, documents)
        self._impacts: NDArray[np.float32] = files.load(
            "impacts", np.float32, files.count, finite=True
        )
        terms = len(files.statistics[2])
        self._peaks: NDArray[np.float32] = files.load("peaks", np.float32, terms, finite=True)
        self._threads = threads
        postings, statistics = self._files.postings, self._files.statistics
        self._index: Index = (
            postings,
            statistics,
            self._impacts,
            self._peaks,
            common_terms(postings, statistics),
        )
        self.settings = self._files.settings

    def search(self, queries: Sequence[str], k: Ints) -> Ranking:
        """Find the `k[q]` best matches of every query, fewer where fewer match.

        Args:
            queries: texts.
            k: how many documents each query wants, at least 0, shape (queries,).
        """
        files = self._files
        parsed, absent = self._parse(queries)
        offsets, terms, _ = parsed
        # No query has more matches than postings, so a huge k costs no memory.
        postings = offsets_of(np.diff(files.postings[0])[terms])
        k = np.minimum(np.minimum(k, np.diff(postings[offsets])), len(files.statistics[1]))
        starts = offsets_of(k)
        slots, scores = np.empty(starts[-1], np.int64), np.empty(starts[-1], np.float64)
        counts = np.zeros(len(queries), np.int64)

        index = self._index

        def search_part(part: tuple[int, int]) -> None:
            search_queries(*part, parsed, k, absent, index, starts, (slots, scores, counts))

        if self._threads == 1:
            search_part((0, len(queries)))
        else:
            # Four parts a thread: queries differ in cost, and every part clears its own sums.
            cuts = np.linspace(0, len(queries), 4 * self._threads + 1).astype(np.int64).tolist()
            with ThreadPoolExecutor(self._threads) as pool:
                on_threads(pool, search_part, pairwise(cuts))
        if (counts < k).any():
            filled = position_in_list(starts) < np.repeat(counts, k)
            slots, scores = slots[filled], scores[filled]
        return Ranking(offsets_of(counts), slots, scores)

    def score(self, queries: Sequence[str], offsets: Ints, slots: Ints) -> Floats:
        """Score given documents, whether they match or not.

        Args:
            queries: texts.
            offsets: query `q` owns the positions `offsets[q]:offsets[q + 1]` of `slots`.
            slots: documents, in any order, shape (pairs,).

        Returns:
            float64, shape (pairs,), the same numbers as `search` reports.
        """
        parsed, absent = self._parse(queries)
        check_values(slots, low=0, below=len(self._files.statistics[1]))
        scores = np.empty(len(slots), np.float64)
        score_pairs(
            parsed,
            np.asarray(offsets, dtype=np.int64),
            np.asarray(slots, dtype=np.int32),
            self._files.postings,
            self._files.statistics,
            self._index[-1],
            scores,
        )
        return scores + np.repeat(absent, np.diff(offsets))

    def _parse(self, queries: Sequence[str]) -> tuple[Queries, Floats]:
        """Turn queries into known terms, and sum the absent constants of each query."""
        counts = self.settings.tokeniser.count(queries)
        sizes = np.array([len(term.encode()) for term in counts.vocabulary], dtype=np.int64)
        numbers = find_terms(*self._files.vocabulary, offsets_of(sizes), letters(counts.vocabulary))
        # Both vocabularies are sorted, so the numbers of a query's terms ascend too.
        terms = numbers[counts.terms]
        known = terms >= 0
        offsets = offsets_of(known.astype(np.int64))[counts.offsets]
        terms, weights = terms[known], counts.frequencies[known].astype(np.int64)
        absent = np.zeros(len(queries))
        if self.settings.variant == "plus":
            query = np.repeat(np.arange(len(queries)), np.diff(offsets))
            idf = self._files.statistics[2]
            np.add.at(absent, query, weights * idf[terms] * self.settings.delta_in_use)
        return (offsets, terms, weights), absent


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

    Float32 sums select the documents, which are then scored in float64. `starts` are positions of
    each query in `output`: slots, scores, and the number of hits of each query.
    """
    offsets, all_terms, all_weights = queries
    slots, scores, counts = output
    postings, statistics, _, _, common = index
    documents, idf = len(statistics[1]), statistics[2]
    scratch, places = scratch_of(documents), np.zeros(documents, np.int32)
    for q in range(first, last):
        terms = all_terms[offsets[q] : offsets[q + 1]]
        weights = all_weights[offsets[q] : offsets[q + 1]]
        counts[q] = 0
        if k[q] == 0:
            continue
        cancelling = False
        for term in terms:
            cancelling |= idf[term] < 0
        if cancelling:
            # Terms that cancel have no relative error bound. Only a corpus of a few words, most of
            # them in most documents, has a negative idf.
            candidates = np.empty(documents, np.int32)
            for document in range(documents):
                candidates[document] = document
        else:
            candidates = select(k[q], terms, weights, absent[q], index, scratch)
        exact = np.empty(len(candidates), np.float64)
        score_documents(terms, weights, candidates, postings, statistics, common, places, exact)
        matches = 0
        for i in range(len(candidates)):
            if exact[i] > 0:
                candidates[matches], exact[matches] = candidates[i], exact[i] + absent[q]
                matches += 1
        chosen = best(exact[:matches], k[q])
        start, counts[q] = starts[q], len(chosen)
        for i in range(len(chosen)):
            slots[start + i], scores[start + i] = candidates[chosen[i]], exact[chosen[i]]
