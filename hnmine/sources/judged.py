"""Source of the documents judged for the query that are not positives, highest grade first."""

from __future__ import annotations

import numpy as np

from hnmine.index.topk import Ranking, top_k
from hnmine.ragged import Ints
from hnmine.sources.source import Asked, Mining, Search, Source


def open_judged(mining: Mining) -> Source:
    """Take the documents that --qrels judges, at any grade."""
    documents = mining.index.documents

    def search(asked: Asked) -> Search:
        offsets, rows, grades = mining.queries.judgements(asked.rows)
        query = np.repeat(np.arange(len(asked.rows)), np.diff(offsets))

        def listed(k: Ints) -> Ranking:
            return top_k(query, documents.slots(rows), grades, k)

        return listed

    return Source(search, by_relevance=False)
