"""How often a judge is right on controls, and the rate that its verdicts imply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # It loads scipy.stats, which takes most of a second, when it is used.

from hnmine.intervals import CONFIDENCE, clopper_pearson
from hnmine.ragged import Floats
from hnmine.results import Json
from hnmine.schema import RELEVANT


@dataclass(frozen=True)
class Share:
    """A number of rows out of others, with the exact 95 % interval of its probability."""

    number: int
    of: int

    @classmethod
    def relevant(cls, verdicts: Floats) -> Share:
        """Count the relevant among the verdicts; NaN without one."""
        known = verdicts[np.isfinite(verdicts)]
        return cls(int((known >= RELEVANT).sum()), len(known))

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of Clopper and Pearson; from 0 to 1 where nothing is known."""
        return clopper_pearson(self.number, self.of)

    def as_json(self) -> Json:
        """Return the numbers and the interval as JSON values."""
        low, high = self.interval
        return {"number": self.number, "of": self.of, "low": low, "high": high}

    def __str__(self) -> str:
        if not self.of:
            return "0 of 0"
        low, high = (f"{100 * end:.1f} %" for end in self.interval)
        return f"{self.number:,} of {self.of:,} (95 % interval {low} to {high})"


@dataclass(frozen=True)
class Rate:
    """A rate with its 95 % interval."""

    rate: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"{100 * self.rate:.1f} % (95 % interval {100 * self.low:.1f} % to "
            f"{100 * self.high:.1f} %)"
        )


def tells_apart(hits: Share, alarms: Share) -> bool:
    """Return whether a judge finds known positives more often than random documents.

    The lower bound of the one must be above the upper bound of the other.
    """
    return hits.interval[0] > alarms.interval[1]


def corrected(flagged: Share, hits: Share, alarms: Share) -> Rate | None:
    """Return the rate of relevant rows that a judge's verdicts imply; None if it is unknown.

    The estimate is that of Rogan and Gladen (1978), the interval that of Lang and Reiczigel (2014),
    which carries the errors of the sample and of both of the judge's rates.

    Args:
        flagged: the sampled rows that the judge finds relevant.
        hits: the known positives that it finds relevant.
        alarms: the random documents that it finds relevant.
    """
    if not flagged.of or not tells_apart(hits, alarms):
        return None
    hit_rate, alarm_rate = hits.number / hits.of, alarms.number / alarms.of
    rate = (flagged.number / flagged.of - alarm_rate) / (hit_rate - alarm_rate)
    z = float(scipy.stats.norm.ppf((1 + CONFIDENCE) / 2))
    sampled = flagged.of + z * z
    seen = (flagged.number + z * z / 2) / sampled
    hit, alarm = ((share.number + 1) / (share.of + 2) for share in (hits, alarms))
    of_hit, of_alarm = hit * (1 - hit) / (hits.of + 2), alarm * (1 - alarm) / (alarms.of + 2)
    middle = min(max((seen - alarm) / (hit - alarm), 0.0), 1.0)
    shift = 2 * z * z * (middle * of_hit - (1 - middle) * of_alarm)
    spread = seen * (1 - seen) / sampled + middle**2 * of_hit + (1 - middle) ** 2 * of_alarm
    reach = z * float(np.sqrt(spread)) / (hit - alarm)
    rate, low, high = (
        min(max(value, 0.0), 1.0)
        for value in (rate, middle + shift - reach, middle + shift + reach)
    )
    return Rate(rate, min(low, rate), max(high, rate))


def agreement(one: Floats, other: Floats) -> tuple[int, float, float]:
    """Return the number of rows that both judged, the share they agree on, and Cohen's kappa.

    Args:
        one: verdicts of a judge; NaN without one.
        other: verdicts of another judge on the same rows.
    """
    both = np.isfinite(one) & np.isfinite(other)
    first, second = one[both] >= RELEVANT, other[both] >= RELEVANT
    if not both.any():
        return 0, np.nan, np.nan
    same = float((first == second).mean())
    by_chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    kappa = (same - by_chance) / (1 - by_chance) if by_chance < 1 else np.nan
    return int(both.sum()), same, float(kappa)
