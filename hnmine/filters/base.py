"""What a filter sees of a block of candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hnmine.config import FilterSettings


@dataclass(frozen=True)
class Block:
    """The candidates of some queries, as columns of one length.

    Attributes:
        score: the score that the rules compare; NaN where there is none.
        anchor: the score of the query's positives, the same for all its candidates.
        rank: place among the query's candidates from 0, before any rule; -1 for positives.
        is_positive: a known positive, or a copy of one.
        is_query: the query's own text.
        near_copy: how much of it, or of a positive, stands in the other; NaN for positives.
    """

    score: NDArray[np.float64]
    anchor: NDArray[np.float64]
    rank: NDArray[np.int64]
    is_positive: NDArray[np.bool_]
    is_query: NDArray[np.bool_]
    near_copy: NDArray[np.float32]


Filter = Callable[[Block, FilterSettings], NDArray[np.bool_] | None]
"""Tells which candidates to drop; None where the settings do not ask for this rule.

A comparison with NaN is False, so a rule says what it keeps and drops the rest.
"""
