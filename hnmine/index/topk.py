"""Ranked lists, in the order of score descending, then document slot ascending."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hnmine.ragged import Floats, Ints, offsets_of, position_in_list


@dataclass(frozen=True)
class Ranking:
    """Ragged lists of documents, one list for each query, best first.

    Query `i` owns the positions `offsets[i]:offsets[i + 1]` of `slots` and `scores`.

    Attributes:
        offsets: int64, shape (queries + 1,).
        slots: int64, shape (hits,): positions in the index, not rows of the corpus.
        scores: float64, shape (hits,), finite.
    """

    offsets: Ints
    slots: Ints
    scores: Floats

    @property
    def query_of_hit(self) -> Ints:
        """The query number of each hit, shape (hits,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def top_k(query: Ints, slots: Ints, scores: Floats, k: Ints) -> Ranking:
    """Keep the best `k[q]` hits of every query, ties broken by slot.

    Args:
        query: query number of each hit, shape (hits,), in any order.
        slots: document slot of each hit, shape (hits,).
        scores: score of each hit, shape (hits,).
        k: how many to keep for each query, shape (queries,).
    """
    order = np.lexsort((slots, -scores, query))
    query = query[order]
    everything = offsets_of(np.bincount(query, minlength=len(k)))
    keep = position_in_list(everything) < k[query]
    order = order[keep]
    return Ranking(
        offsets_of(np.bincount(query[keep], minlength=len(k))), slots[order], scores[order]
    )
