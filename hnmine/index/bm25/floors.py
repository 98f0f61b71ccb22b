"""Lower bounds of the k-th largest of float32 values, without sorting them."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 64
BINS = 1024


@njit(nogil=True, cache=True)
def maxima_of_blocks(sums: NDArray[np.float32], maxima: NDArray[np.float32]) -> None:
    """Write the maximum of every `BLOCK` values; all values are from 0 up."""
    # Bit patterns of floats from 0 up are in the order of the floats, and the maximum of integers
    # is vectorised where that of floats, because of NaN, is not. So is a loop over a slice, where
    # one with computed subscripts is not: together, ten times as fast.
    bits, maxima_bits = sums.view(np.int32), maxima.view(np.int32)
    for block in range(len(maxima)):
        row = bits[block * BLOCK : (block + 1) * BLOCK]
        top = np.int32(0)
        for i in range(len(row)):
            top = max(top, row[i])
        maxima_bits[block] = top


@njit(nogil=True, cache=True)
def floor_of(values: NDArray[np.float32], k: int, low: float, bins: NDArray[np.int32]) -> float:
    """Bound the k-th largest value from below by a histogram of what is above `low`; `low` if none.

    Every comparison is made on the bin numbers, which never fall as the value grows, so rounding
    cannot raise the bound above the k-th value but for the last conversion, which has a margin.
    """
    bits = values.view(np.int32)
    top_bits = np.int32(0)
    for i in range(len(bits)):
        top_bits = max(top_bits, bits[i])
    top = np.float32(0.0)
    for i in range(len(values)):
        if bits[i] == top_bits:
            top = values[i]
            break
    start = np.float32(low)
    if k > len(values) or not top - start > 1e-6 * top or top < 1e-30:
        return low
    scale = np.float32(BINS - 1) / (top - start)
    bins[:] = 0
    for i in range(len(values)):
        if values[i] > start:
            bins[int((values[i] - start) * scale)] += 1
    above = 0
    for b in range(len(bins) - 1, 0, -1):
        above += bins[b]
        if above >= k:
            return max(low, (start + b / np.float64(scale)) * (1.0 - 1e-6))
    return low


@njit(nogil=True, cache=True)
def cut_of(floor: float, slack: tuple[float, float]) -> np.float32:
    """Lower a bound of the k-th float32 sum to where no document of the exact best k is missed."""
    relative, absolute = slack
    return np.float32(max(floor * (1.0 - relative) - absolute, 1e-45))
