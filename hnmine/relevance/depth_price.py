"""The price of depth: how many ranks deeper a negative may be for a lower chance of relevance."""

from __future__ import annotations

import numpy as np

from hnmine.choose import choose, grouped
from hnmine.compiled import compiled
from hnmine.ragged import Bools, Floats, Ints

HALVINGS = 30
STEPS = (0.75, 0.5, 0.25)
"""Places of the safer choices between the choice asked for, at 0, and the safest, at 1."""

LOWEST_PRICE, HIGHEST_PRICE = 1e-6, 100.0


def cost(relevance: Floats) -> Floats:
    """Return -log(1 - p) of each log likelihood ratio, at even prior odds."""
    worth: Floats = np.logaddexp(0.0, relevance)
    return worth


def price_of_depth(
    query: Ints,
    eligible: Bools,
    among: Bools,
    relevance: Floats,
    depth: Floats,
    asked: int | Ints,
    target: float,
    extra: Floats | float = 0.0,
) -> float:
    """Return the price of a rank at which the chosen negatives have a given mean depth.

    Choosing the smallest `cost + price * depth` has the least total cost of all choices with that
    mean depth: the price is the Lagrange multiplier. Where even the nearest eligible rows are
    deeper, no price reaches the target, and the highest would choose those nearest ones whatever
    their relevance. The price is then that of the same depth among all rows.

    Args:
        query: of each row, from 0, shape (rows,).
        eligible: the rows to choose from.
        among: all rows that could be eligible under other rules.
        relevance: log likelihood ratio of each row.
        depth: of each row.
        asked: negatives for each query, or shape (queries,).
        target: the mean depth; where the cheapest rows are no deeper, the price is 0.
        extra: a further cost of each row.
    """
    n = np.broadcast_to(asked, int(query.max(initial=-1)) + 1)
    base = cost(relevance) + extra
    for rows in (eligible, among):
        price = _price(query, rows, base, depth, n, target)
        if price is not None:
            return price
    return HIGHEST_PRICE


def safer_prices(
    query: Ints,
    eligible: Bools,
    relevance: Floats,
    depth: Floats,
    asked: int | Ints,
    price: float,
    extra: Floats | float = 0.0,
) -> tuple[float, ...]:
    """Return lower prices: 0, and those at which the mean depth grows by even steps up to that.

    Args:
        query: of each row, from 0, shape (rows,).
        eligible: the rows to choose from.
        relevance: log likelihood ratio of each row.
        depth: of each row.
        asked: negatives for each query, or shape (queries,).
        price: at which the choice asked for is made.
        extra: a further cost of each row.
    """
    n = np.broadcast_to(asked, int(query.max(initial=-1)) + 1)
    penalty, base = np.nan_to_num(depth), cost(relevance) + extra
    ends = [
        mean_depth(depth, choose(query, eligible, base + one * penalty, n)) for one in (0.0, price)
    ]
    found = {0.0}
    for share in STEPS:
        target = share * ends[0] + (1 - share) * ends[1]
        found.add(price_of_depth(query, eligible, eligible, relevance, depth, n, target, extra))
    return tuple(sorted(one for one in found if one < price))


def nearest(query: Ints, rows: Bools, depth: Floats, asked: int | Ints) -> float:
    """Return the mean depth of the nearest rows; NaN without one."""
    n = np.broadcast_to(asked, int(query.max(initial=-1)) + 1)
    return mean_depth(depth, choose(query, rows, np.nan_to_num(depth), n))


def mean_depth(depth: Floats, chosen: Bools) -> float:
    """Return the mean of the known depths; NaN without one."""
    known = depth[chosen & np.isfinite(depth)]
    return float(known.mean()) if len(known) else np.nan


@compiled()
def chosen_depths(
    offsets: Ints, base: Floats, penalty: Floats, depth: Floats, n: Ints, price: float
) -> Floats:
    """Return the known depths of the rows that `first` marks by `base + price * penalty`.

    Args:
        offsets: query `i` owns the rows `offsets[i]:offsets[i + 1]`.
        base: cost of each row, shape (rows,).
        penalty: how often it pays the price.
        depth: of each row; infinite or NaN where it is unknown.
        n: how many rows to choose, shape (queries,).
        price: of a rank.
    """
    most = 0
    for group in range(len(n)):
        most = max(most, min(n[group], offsets[group + 1] - offsets[group]))
    rows, costs = np.empty(most, np.int64), np.empty(most)
    chosen = np.zeros(len(base), np.bool_)
    for group in range(len(n)):
        wanted, count = n[group], 0
        for row in range(offsets[group], offsets[group + 1]):
            cost = base[row] + price * penalty[row]
            count = _insert(row, cost, rows, costs, count, wanted)
        for place in range(count):
            chosen[rows[place]] = True
    found, known = np.empty(len(base)), 0
    for row in range(len(base)):
        if chosen[row] and np.isfinite(depth[row]):
            found[known] = depth[row]
            known += 1
    return found[:known].copy()


@compiled()
def _insert(row: int, cost: float, rows: Ints, costs: Floats, count: int, most: int) -> int:
    """Put a row among the cheapest, of which there are `count`; return how many there are now."""
    place = count
    while place > 0:
        other = costs[place - 1]
        if not (cost < other or (other != other and cost == cost)):  # NaN is the largest.
            break
        place -= 1
    if place >= most:
        return count
    count = min(count + 1, most)
    for i in range(count - 1, place, -1):
        rows[i], costs[i] = rows[i - 1], costs[i - 1]
    rows[place], costs[place] = row, cost
    return count


def _price(
    query: Ints, eligible: Bools, base: Floats, depth: Floats, n: Ints, target: float
) -> float | None:
    """Return the price of `price_of_depth`; None where the nearest rows are deeper."""
    rows, offsets = grouped(query, eligible, len(n))
    base, depth = base[rows], depth[rows]
    penalty = np.nan_to_num(depth)

    def mean(price: float) -> float:
        found = chosen_depths(offsets, base, penalty, depth, n, price)
        return float(found.mean()) if len(found) else 0.0

    if mean(0.0) <= target:
        return 0.0
    if mean(HIGHEST_PRICE) > target:
        return None
    low, high = LOWEST_PRICE, HIGHEST_PRICE
    for _ in range(HALVINGS):
        middle = float(np.sqrt(low * high))
        if mean(middle) > target:
            low = middle
        else:
            high = middle
    return high
