"""Test by betting whether few of a finite set are marked, from draws without replacement.

The bet on each draw multiplies a capital of 1. If `limit` or more of the set are marked, the
expected capital never grows, so that it exceeds 1 / risk at any time with probability `risk` at
most (Ville 1939). So one may look after every draw, stop, and continue later. The method is that of
risk-limiting audits (Waudby-Smith, Stark and Ramdas, 2021; Stark, 2023).
"""

from __future__ import annotations

import math

import numpy as np
import scipy  # It loads scipy.special when it is used.

from hnmine.ragged import Bools, Floats

Counts = Floats | float

ALTERNATIVES = (0.0, 0.1, 0.2, 0.4)
"""The bets: shares of the limit that may be marked. The capital is divided evenly among them."""


def log_capital(population: int, limit: int, drawn: Counts, marked: Counts) -> Floats:
    """Return the logarithm of the capital, by the number of draws and of marked ones among them.

    It is the likelihood of the draws under each alternative, on average, over that under `limit`
    marked ones. With more marked ones than `limit`, it shrinks faster.

    Args:
        population: size of the set.
        limit: the least number of marked ones that is to be ruled out, 1 or more.
        drawn: number of draws.
        marked: number of marked ones among these.
    """
    few, times = np.unique(np.floor(np.array(ALTERNATIVES) * limit), return_counts=True)
    share = times / times.sum()
    drawn, marked = np.asarray(drawn, np.float64), np.asarray(marked, np.float64)
    alternatives = _log_ways(population, few, drawn[..., None], marked[..., None])
    against = _log_ways(population, limit, drawn, marked)
    with np.errstate(invalid="ignore"):
        capital = np.logaddexp.reduce(alternatives + np.log(share), axis=-1) - against
    # Too few are left for `limit`: it is ruled out. So many were found: it is certain.
    capital = np.where(limit - marked > population - drawn, np.inf, capital)
    return np.where(marked >= limit, -np.inf, capital)


def capital_path(population: int, limit: int, marks: Bools) -> Floats:
    """Return the logarithm of the capital after each draw, shape (draws,)."""
    drawn = np.arange(1, len(marks) + 1, dtype=np.float64)
    return log_capital(population, limit, drawn, np.cumsum(marks).astype(np.float64))


def draws_to_go(population: int, limit: int, marks: Bools, risk: float) -> int | None:
    """Return how many further draws without a mark rule out `limit`; None if no number does."""
    low, high = len(marks), population
    marked = int(marks.sum())

    def enough(draws: int) -> bool:
        return bool(log_capital(population, limit, draws, marked) >= -math.log(risk))

    if marked >= limit or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low - len(marks)


def _log_ways(population: int, total: Counts, drawn: Floats, marked: Floats) -> Floats:
    """Return the log probability of one order of draws if `total` of the set are marked."""
    return _log_choose(population - drawn, total - marked) - _log_choose(population, total)


def _log_choose(n: Counts, k: Counts) -> Floats:
    n, k = np.asarray(n, np.float64), np.asarray(k, np.float64)
    possible = (k >= 0) & (k <= n)
    inside = np.clip(k, 0, n)
    gammaln = scipy.special.gammaln
    ways = gammaln(n + 1) - gammaln(inside + 1) - gammaln(n - inside + 1)
    return np.where(possible, ways, -np.inf)
