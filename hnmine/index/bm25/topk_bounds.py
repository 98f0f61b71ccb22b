"""Lower bounds of the k-th largest of float32 values, without sorting them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled

BLOCK = 64
# Leave the bound less than a 4,096th of the largest value below the k-th.
_HALVINGS = 12
# So many maxima for each of the k best: few of these share one.
_MAXIMA = 8


@compiled()
def maxima_of_blocks(sums: NDArray[np.float32], maxima: NDArray[np.float32]) -> None:
    """Write the maximum of every `BLOCK` values, a whole number of blocks; all are from 0 up."""
    # Bit patterns of floats from 0 up are in the order of the floats, and the maximum of integers
    # is vectorised where that of floats, because of NaN, is not. So is a loop over a slice, where
    # one with computed subscripts is not: together, ten times as fast.
    bits, maxima_bits = sums.view(np.int32), maxima.view(np.int32)
    for block in range(len(bits) // BLOCK):
        row = bits[block * BLOCK : (block + 1) * BLOCK]
        top = np.int32(0)
        for i in range(len(row)):
            top = max(top, row[i])
        maxima_bits[block] = top


@compiled()
def floor_of(values: NDArray[np.float32], k: int, low: float) -> float:
    """Bound the k-th largest value from below, by `low` at least; all values are from 0 up."""
    bits, bound = values.view(np.int32), low
    number = np.zeros(1, np.int32)
    for i in range(len(bits)):
        number[0] = max(number[0], bits[i])
    below, above = np.float32(low), number.view(np.float32)[0]
    for _ in range(_HALVINGS):
        middle = np.float32(0.5) * (below + above)
        number.view(np.float32)[0] = middle
        # A count in 32 bits is vectorised twice as wide as Numba's own whole numbers.
        least, count = number[0], np.int32(0)
        for i in range(len(bits)):
            count = np.int32(count + np.int32(bits[i] >= least))
        if count >= k:
            below, bound = middle, max(bound, np.float64(middle))
        else:
            above = middle
    return bound


@compiled()
def folded(values: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return maxima of equally many values each, whose k-th is near that of all; all from 0 up.

    They are several times k, and fewer than the values: a bound of theirs is found in less time.
    """
    width = (_MAXIMA * k + BLOCK - 1) // BLOCK * BLOCK
    if 2 * width > len(values):
        return values
    maxima = values[:width].copy()
    bits, maxima_bits = values.view(np.int32), maxima.view(np.int32)
    for start in range(width, len(bits), width):
        row = bits[start : start + width]
        for i in range(len(row)):
            maxima_bits[i] = max(maxima_bits[i], row[i])
    return maxima


@compiled()
def cut_of(floor: float, slack: tuple[float, float]) -> np.float32:
    """Lower a bound of the k-th float32 sum to where no document of the exact best k is missed."""
    relative, absolute = slack
    return np.float32(max(floor * (1.0 - relative) - absolute, 1e-45))
