"""Lists of different lengths in one array, with the offsets where each begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def offsets_of(counts: Ints) -> Ints:
    """Turn list lengths, shape (n,), into list boundaries, shape (n + 1,)."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])


def position_in_list(offsets: Ints) -> Ints:
    """Count from 0 within each list, shape (hits,)."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def ragged(starts: Ints, counts: Ints) -> Ints:
    """Concatenate the ranges `starts[i]:starts[i] + counts[i]`."""
    offsets = offsets_of(counts)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
