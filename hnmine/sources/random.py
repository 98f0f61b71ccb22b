"""Sources that draw at random: from all documents, or from those that meet a condition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.index.topk import Ranking, top_k
from hnmine.keyed_noise import hashes, mixed
from hnmine.ragged import Ints, offsets_of, position_in_list
from hnmine.sources.source import Asked, Mining, Search, Source

DRAWS_A_PASS = 4
"""Passes of drawing before all documents are sorted instead."""


class _Keys:
    """A random number for each document and each query, from its id."""

    def __init__(self, mining: Mining) -> None:
        documents = mining.index.documents
        self.seed = mining.seed
        ids = documents.id_array(np.asarray(documents.canonical)).to_pylist()
        self.documents = hashes(ids, 2 * self.seed)

    def queries(self, asked: Asked) -> NDArray[np.uint64]:
        ids = asked.queries.texts.id_array(asked.rows).to_pylist()
        return hashes(ids, 2 * self.seed + 1)


def open_random(mining: Mining) -> Source:
    """Draw uniformly from all documents, without replacement, in the order of the draw."""
    keys = _Keys(mining)
    # Positions in this order are drawn, so that the order of the corpus makes no difference.
    shuffled = np.argsort(keys.documents, kind="stable")

    def search(asked: Asked) -> Search:
        of_query = keys.queries(asked)

        def draw(k: Ints) -> Ranking:
            k = np.minimum(k, len(shuffled))
            parts = []
            for query in np.flatnonzero(k):
                places = _distinct(of_query[query], int(k[query]), len(shuffled))
                parts.append(shuffled[places])
            slots = np.concatenate([np.empty(0, dtype=np.int64), *parts])
            offsets = offsets_of(k)
            return Ranking(offsets, slots, -position_in_list(offsets).astype(np.float64))

        return draw

    return Source(search, by_relevance=False)


def _distinct(key: np.uint64, k: int, count: int) -> Ints:
    """Draw k numbers below `count`, uniformly and without replacement."""
    drawn = np.empty(0, dtype=np.int64)
    for passes in range(1, DRAWS_A_PASS + 1):
        steps = np.arange(2 * k * passes, dtype=np.uint64)
        with np.errstate(over="ignore"):
            numbers = mixed(key + steps * np.uint64(0x9E3779B97F4A7C15))
        places = (numbers % np.uint64(count)).astype(np.int64)
        drawn = places[np.sort(np.unique(places, return_index=True)[1])]
        if len(drawn) >= k:
            return drawn[:k]
    rest = np.setdiff1d(np.arange(count), drawn)
    with np.errstate(over="ignore"):
        order = np.argsort(mixed(key + rest.astype(np.uint64)), kind="stable")
    return np.concatenate([drawn, rest[order]])[:k]


def open_matching(mining: Mining) -> Source:
    """Draw from the documents for which --matching is true."""
    keys = _Keys(mining)

    def search(asked: Asked) -> Search:
        query, rows = mining.facts.matches(mining.matching, asked.rows)
        slots = mining.index.documents.slots(rows)
        with np.errstate(over="ignore"):
            noise = mixed(keys.queries(asked)[query] + keys.documents[slots])
        # float64 cannot order all 64-bit numbers, so their ranks are the scores.
        rank = np.argsort(np.argsort(noise, kind="stable"), kind="stable")

        def draw(k: Ints) -> Ranking:
            return top_k(query, slots, -rank.astype(np.float64), k)

        return draw

    return Source(search, by_relevance=False)
