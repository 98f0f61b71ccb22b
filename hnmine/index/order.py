"""Sort and search in compiled code: NumPy's own sorts take Numba seconds to compile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.ragged import Floats, Ints

_FEW = 512
"""So few are sorted by insertion once they are nearly in order."""


@compiled()
def best(scores: Floats, k: int) -> Ints:
    """Positions of the k highest scores, which are finite, best first, equal ones by position."""
    total = len(scores)
    top, least = -np.inf, np.inf
    for score in scores:
        top, least = max(top, score), min(least, score)
    width = top - least if top > least else 1.0
    # Into as many buckets as there are scores: rounding keeps the order, so no score is in a bucket
    # after that of a lower one.
    order, buckets = np.empty(total, np.int64), np.empty(total, np.int64)
    ends = np.zeros(total + 1, np.int64)
    for i in range(total):
        buckets[i] = np.int64((top - scores[i]) / width * (total - 1))
        ends[buckets[i] + 1] += 1
    for i in range(total):
        ends[i + 1] += ends[i]
    for i in range(total):
        order[ends[buckets[i]]] = i
        ends[buckets[i]] += 1
    step = 1 if total <= _FEW else _shorter(total)
    while step > 0:
        for i in range(step, total):
            own, place = order[i], i
            score = scores[own]
            while place >= step:
                other = order[place - step]
                if scores[other] > score or (scores[other] == score and other < own):
                    break
                order[place] = other
                place -= step
            order[place] = own
        step = _shorter(step)
    return order[:k]


@compiled()
def ascend(values: NDArray[np.number]) -> None:
    """Sort numbers in place (Shell 1959, "A high-speed sorting procedure")."""
    step = _shorter(len(values))
    while step > 0:
        for i in range(step, len(values)):
            own, place = values[i], i
            while place >= step and values[place - step] > own:
                values[place] = values[place - step]
                place -= step
            values[place] = own
        step = _shorter(step)


@compiled()
def _shorter(step: int) -> int:
    """Return the next distance at which a Shell sort compares; 0 after 1."""
    return max(1, 5 * step // 11) if step > 1 else 0


@compiled()
def first_from(value: int, values: NDArray[np.integer]) -> int:
    """Return where the first of some ascending numbers is that is not below a value."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low
