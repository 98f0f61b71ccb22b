"""How like the query is another query that the document is a positive of.

A document that answers a query much like this one is likely to answer this one too (SaHa,
arXiv 2508.00955).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.ragged import Ints, offsets_of, ragged
from hnmine.sources.queryvectors import open_query_vectors
from hnmine.sources.source import Asked, Mining, Score


class Owners:
    """The queries that each document is a positive of."""

    def __init__(self, mining: Mining) -> None:
        documents = mining.index.documents
        self.vectors = open_query_vectors(mining)
        offsets, rows = mining.queries.positives(self.vectors.rows)
        slots = documents.slots(rows)
        owner = np.repeat(np.arange(self.vectors.count), np.diff(offsets))
        order = np.lexsort((owner, slots))
        self._owners = owner[order]
        self._offsets = offsets_of(np.bincount(slots, minlength=len(documents.canonical)))

    def score(self, asked: Asked) -> Score:
        """Return what scores documents by the nearest query that owns them; NaN without one."""
        own = self.vectors.places(asked.rows)

        def score(offsets: Ints, slots: Ints) -> NDArray[np.float64]:
            query = own[np.repeat(np.arange(len(own)), np.diff(offsets))]
            counts = self._offsets[slots + 1] - self._offsets[slots]
            pair = np.repeat(np.arange(len(slots)), counts)
            owner = self._owners[ragged(self._offsets[slots], counts)]
            another = owner != query[pair]
            pair, owner = pair[another], owner[another]
            best = np.full(len(slots), -np.inf)
            np.fmax.at(best, pair, self.vectors.index.similarity(query[pair], owner))
            return np.where(np.isfinite(best), best, np.nan)

        return score
