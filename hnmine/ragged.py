"""Ragged lists: one array of items, and one of offsets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")

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


def grouped(
    items: Iterable[Item], size: Callable[[Item], int], most: int, total: int
) -> Iterator[list[Item]]:
    """Group items in order: a group ends with `most` items, or once its size exceeds `total`."""
    group: list[Item] = []
    filled = 0
    for item in items:
        group.append(item)
        filled += size(item)
        if len(group) == most or filled > total:
            yield group
            group, filled = [], 0
    if group:
        yield group
