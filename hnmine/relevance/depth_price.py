"""The price of depth: how many ranks deeper a negative may be for a lower chance of relevance."""

from __future__ import annotations

import numpy as np

from hnmine.choose import first, grouped
from hnmine.ragged import Bools, Floats, Ints

HALVINGS = 30
LOWEST_PRICE, HIGHEST_PRICE = 1e-6, 100.0


def cost(relevance: Floats) -> Floats:
    """Return -log(1 - p) of each log likelihood ratio, at even prior odds."""
    worth: Floats = np.logaddexp(0.0, relevance)
    return worth


def price_of_depth(
    query: Ints, eligible: Bools, relevance: Floats, depth: Floats, asked: int, target: float
) -> float:
    """Return the price of a rank at which the chosen negatives have a given mean depth.

    Choosing the smallest `cost + price * depth` has the least total cost of all choices with that
    mean depth: the price is the Lagrange multiplier.

    Args:
        query: of each row, from 0, shape (rows,).
        eligible: the rows to choose from.
        relevance: log likelihood ratio of each row.
        depth: of each row.
        asked: negatives for each query.
        target: the mean depth; where the cheapest rows are no deeper, the price is 0.
    """
    n = np.full(int(query.max(initial=-1)) + 1, asked)
    rows, offsets = grouped(query, eligible, len(n))
    base, depth = cost(relevance[rows]), depth[rows]
    penalty = np.nan_to_num(depth)

    def mean_depth(price: float) -> float:
        chosen = depth[first(offsets, base + price * penalty, n)]
        return float(chosen.mean()) if len(chosen) else 0.0

    if mean_depth(0.0) <= target:
        return 0.0
    low, high = LOWEST_PRICE, HIGHEST_PRICE
    for _ in range(HALVINGS):
        middle = float(np.sqrt(low * high))
        if mean_depth(middle) > target:
            low = middle
        else:
            high = middle
    return high
