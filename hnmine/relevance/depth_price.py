"""The price of depth: how many ranks deeper a negative may be for being surer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.choose import first, grouped
from hnmine.ragged import Floats

HALVINGS = 30
LOWEST_PRICE, HIGHEST_PRICE = 1e-6, 100.0


def cost(relevance: Floats) -> Floats:
    """Return -log of the chance that nothing is wrong with a negative, at even prior odds."""
    worth: Floats = np.logaddexp(0.0, relevance)
    return worth


def price_of_depth(
    query: NDArray[np.int64],
    free: NDArray[np.bool_],
    relevance: Floats,
    rank: Floats,
    asked: int,
    depth: float,
) -> float:
    """Find what a rank must cost for the chosen negatives to have a given mean rank.

    Choosing the least of `cost + price * rank` loses the least in sureness among all choices of
    that mean rank: the price is its Lagrange multiplier.

    Args:
        query: of each row, from 0.
        free: the rows to choose from.
        relevance: log likelihood ratio of each row.
        rank: of each row.
        asked: how many to choose for each query.
        depth: the mean rank aimed at; if the surest are no deeper, the price is 0.
    """
    n = np.full(int(query.max(initial=-1)) + 1, asked)
    rows, offsets = grouped(query, free, len(n))
    base, rank = cost(relevance[rows]), rank[rows]
    deeper = np.nan_to_num(rank)

    def mean_rank(price: float) -> float:
        chosen = rank[first(offsets, base + price * deeper, n)]
        return float(chosen.mean()) if len(chosen) else 0.0

    if mean_rank(0.0) <= depth:
        return 0.0
    low, high = LOWEST_PRICE, HIGHEST_PRICE
    for _ in range(HALVINGS):
        middle = float(np.sqrt(low * high))
        if mean_rank(middle) > depth:
            low = middle
        else:
            high = middle
    return high
