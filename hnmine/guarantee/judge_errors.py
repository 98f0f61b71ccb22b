"""What a judge's verdicts say about the truth, by its hits on known positives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import scipy  # It loads scipy.stats, which takes most of a second, when it is used.

SHARE_OF_RISK = 0.3
"""Part of the risk that the judge's errors take; the draws take the rest."""


@dataclass(frozen=True)
class Hits:
    """How many known positives a judge calls relevant.

    Attributes:
        asked: known positives that resemble the chosen negatives.
        found: those of them that the judge called relevant.
    """

    asked: int
    found: int

    def lowest(self, risk: float) -> float:
        """Return the lower bound on the rate of hits (Clopper and Pearson, 1934)."""
        if not self.found:
            return 0.0
        return float(scipy.stats.beta.ppf(risk, self.found, self.asked - self.found + 1))


@dataclass(frozen=True)
class Limit:
    """What the draws have to rule out.

    Attributes:
        marked: the least number of pairs that the judge would call relevant if too many were.
        risk: that is left for the draws.
    """

    marked: int
    risk: float


def limit_of(population: int, max_false: float, risk: float, hits: Hits | None) -> Limit:
    """Return what the draws have to rule out, so that at most `max_false` of a set are relevant.

    If more were, at least `floor(max_false * population) + 1` would be, and the judge would call
    each relevant with the probability of a hit. Its false alarms only add to these, so they make
    the bound safer. But they are left out of the set, which raises the share of the others. At most
    `most_false` are left out, and the bound is that of the others.

    Args:
        population: number of pairs.
        max_false: highest share that is relevant.
        risk: probability of a wrong claim.
        hits: of the judge; None if its verdicts are the truth.

    Returns:
        0 marked where nothing can be ruled out.
    """
    if hits is None:
        return Limit(most_false(population, max_false) + 1, risk)
    too_many = most_false(population - most_false(population, max_false), max_false) + 1
    share = risk * SHARE_OF_RISK / 2
    marked = int(scipy.stats.binom.ppf(share, too_many, hits.lowest(share)))
    return Limit(marked, risk * (1 - SHARE_OF_RISK))


def most_false(population: int, max_false: float) -> int:
    """Return how many pairs may be false."""
    return math.floor(max_false * population + 1e-9)
