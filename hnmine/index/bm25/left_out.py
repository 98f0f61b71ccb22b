"""Which terms of a query are left out of the sums, as they hardly count."""

from __future__ import annotations

import numpy as np

from hnmine.compiled import compiled
from hnmine.index.order import best
from hnmine.ragged import Bools, Floats, Ints

# Common terms are left out that add at most this share of the highest score thinkable, divided by
# the square root of the number of terms: a third of what the k-th score is likely to be.
_SHARE_LEFT_OUT = 0.35
# Terms that add nothing have a most of 0, and the length of a list is finite when divided by this.
_TINY = 1e-290


@compiled()
def leave_out(k: int, blocks: int, most: Floats, lengths: Ints, columns: Ints) -> Bools:
    """Choose common terms that hardly count.

    The idea of MaxScore (Turtle and Flood 1995, "Query evaluation: strategies and optimizations"),
    once for a whole query.
    """
    left_out, bound, total = np.zeros(len(most), np.bool_), 0.0, 0.0
    if 4 * k > blocks:
        return left_out
    worth = np.empty(len(most), np.float64)
    for j in range(len(most)):
        worth[j] = lengths[j] / (most[j] + _TINY)
        total += most[j]
    budget = _SHARE_LEFT_OUT / np.sqrt(len(most)) * total
    # Most postings for the least bound first.
    for j in best(worth, len(most)):
        if columns[j] >= 0 and bound + most[j] <= budget:
            left_out[j] = True
            bound += most[j]
    return left_out


@compiled()
def put_in(most: Floats, out: Bools) -> Bools:
    """Take that half of what was left out back in that has the highest bounds; return it."""
    put, rest = np.zeros(len(out), np.bool_), (count_of(out) + 1) // 2
    for j in best(most, len(most)):
        if out[j] and rest > 0:
            rest -= 1
            put[j], out[j] = True, False
    return put


@compiled()
def count_of(chosen: Bools) -> int:
    """Count what is chosen."""
    total = 0
    for one in chosen:
        total += one
    return total


@compiled()
def rest_of(out: Bools) -> Bools:
    """Return what is not left out."""
    rest = np.empty(len(out), np.bool_)
    for j in range(len(out)):
        rest[j] = not out[j]
    return rest


@compiled()
def postings_of(starts: Ints, ends: Ints, chosen: Bools) -> int:
    """Count the postings of some lists."""
    total = 0
    for j in range(len(starts)):
        total += ends[j] - starts[j] if chosen[j] else 0
    return total
