"""One list for each query from the lists of several searches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.index.topk import Ranking, top_k
from hnmine.ragged import Ints
from hnmine.sources.source import Search


def best_of_positives(offsets: Ints, search: Search) -> Search:
    """Turn a search for positives into one for their queries.

    Args:
        offsets: query `i` has the positives `offsets[i]:offsets[i + 1]`.
        search: for the positives.
    """
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))

    def search_queries(k: Ints) -> Ranking:
        found = search(k[owner])
        return best_of_each(owner[found.query_of_hit], found.slots, found.scores, k)

    return search_queries


def best_of_each(query: Ints, slots: Ints, scores: NDArray[np.float64], k: Ints) -> Ranking:
    """Rank documents by the best of the scores that each has for a query."""
    order = np.lexsort((-scores, slots, query))
    query, slots, scores = query[order], slots[order], scores[order]
    first = np.ones(len(query), dtype=bool)
    first[1:] = (query[1:] != query[:-1]) | (slots[1:] != slots[:-1])
    return top_k(query[first], slots[first], scores[first], k)
