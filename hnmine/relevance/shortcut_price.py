"""The price of a shortcut: what a negative costs that one simple score tells from the positives.

Where each positive shares more words with its query than its negatives do, a student learns to
count words (Shah et al., NeurIPS 2020). A shortcut is measured by its AUC within queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from hnmine.ragged import Bools, Floats, Ints
from hnmine.relevance.within_query import mean_within

Shortcut = Literal["bm25", "length"]
SHORTCUTS: tuple[Shortcut, ...] = ("bm25", "length")

AUC = 0.7
"""AUC of a shortcut that the price aims at; one minus it where it points the other way."""

HIGHEST_AUC = 0.85
"""AUC above which a shortcut is reported."""

HIGHEST_PRICE = 1.0
"""The cost of a candidate that is relevant with a chance of 63 %, at even prior odds."""

LOWEST_PRICE, HALVINGS = 1e-5, 14

Choose = Callable[[Floats], Bools]
"""Given a further cost of each row, returns the rows chosen."""


def shortcut_cost(
    above: Mapping[Shortcut, Floats], prices: Mapping[Shortcut, float]
) -> Floats | float:
    """Return the cost of each row: the sum of each price times the share of positives above.

    A negative price is for a shortcut that points the other way: it counts the positives below.

    Args:
        above: by shortcut, `positives_above` of each row; unknown shares count half.
        prices: by shortcut.
    """
    return sum(
        abs(price) * np.nan_to_num(above[name] if price > 0 else 1 - above[name], nan=0.5)
        for name, price in prices.items()
    )


def prices_of_shortcuts(
    query: Ints, above: Mapping[Shortcut, Floats], choose: Choose
) -> dict[Shortcut, float]:
    """Return the lowest prices at which each shortcut in turn has no higher AUC than `AUC`.

    The price of one is set given those before it; a later one may move an earlier AUC again.
    The price is a Lagrange multiplier: of all choices with that AUC, this has the least total cost.
    So each negative that it brings above the positive costs at most `HIGHEST_PRICE` more. Where the
    AUC stays higher, the highest price reaches what it can.

    Args:
        query: of each row, any numbers.
        above: by shortcut, `positives_above` of each row.
        choose: makes the choice.

    Returns:
        Prices by shortcut, without those that need none.
    """
    prices: dict[Shortcut, float] = {}
    for name, share in above.items():

        def auc(price: float, name: Shortcut = name, share: Floats = share) -> float:
            chosen = choose(np.asarray(shortcut_cost(above, prices | {name: price})))
            found = mean_within(share[chosen], query[chosen])
            return float(found.mean()) if len(found) else 0.5

        free = auc(0.0)
        if 1 - AUC <= free <= AUC:
            continue
        sign = 1.0 if free > 0.5 else -1.0
        low, high = LOWEST_PRICE, HIGHEST_PRICE
        for _ in range(HALVINGS):
            middle = float(np.sqrt(low * high))
            reached = auc(sign * middle)
            # Not either way: a price that overshoots is high enough.
            if (reached if sign > 0 else 1 - reached) > AUC:
                low = middle
            else:
                high = middle
        prices[name] = sign * high
    return prices
