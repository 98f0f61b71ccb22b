"""Exact intervals for shares."""

from __future__ import annotations

from bisect import bisect_left

import scipy  # It loads scipy.stats, which takes most of a second, when it is used.

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2


def clopper_pearson(successes: float, trials: float) -> tuple[float, float]:
    """Return the exact 95 % interval for a probability (Clopper and Pearson, 1934)."""
    fails = trials - successes
    low = scipy.stats.beta.ppf(TAIL, successes, fails + 1) if successes > 0 else 0.0
    high = scipy.stats.beta.ppf(1 - TAIL, successes + 1, fails) if fails > 0 else 1.0
    return float(low), float(high)


def sampled_interval(successes: int, sampled: int, population: int) -> tuple[int, int]:
    """Return the exact 95 % interval for the successes in a population, by a random sample of it.

    The sample is without replacement: the interval holds the counts that neither tail of the
    hypergeometric distribution rejects.

    Args:
        successes: in the sample.
        sampled: its size.
        population: of which it was drawn.
    """
    if sampled == population:
        return successes, successes
    possible = range(successes, population - (sampled - successes) + 1)

    # Both are false for small counts and true for large ones.
    def enough(n: int) -> bool:
        return bool(scipy.stats.hypergeom.sf(successes - 1, population, n, sampled) > TAIL)

    def too_many(n: int) -> bool:
        return bool(scipy.stats.hypergeom.cdf(successes, population, n, sampled) <= TAIL)

    low = bisect_left(possible, True, key=enough)
    high = bisect_left(possible, True, key=too_many)
    return possible[low], possible[high - 1]
