"""Rules that compare a candidate with the query's own positives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.filters.base import Block


def same_score(block: Block, settings: FilterSettings) -> NDArray[np.bool_] | None:
    """Drop candidates with exactly the positive's score: most likely the same text in disguise."""
    return None if settings.compat else block.score == block.anchor


def margin(block: Block, settings: FilterSettings) -> NDArray[np.bool_] | None:
    """Keep `score <= positive - m`."""
    if settings.margin is None:
        return None
    with np.errstate(invalid="ignore"):
        return ~(block.score <= block.anchor - settings.margin)


def relative_margin(block: Block, settings: FilterSettings) -> NDArray[np.bool_] | None:
    """Keep `score <= positive - |positive| * r`.

    Not `positive * (1 - r)`, which lets candidates above the positive through where scores are
    negative (sentence-transformers issue 3819).
    """
    if settings.relative_margin is None:
        return None
    with np.errstate(invalid="ignore"):
        return ~(block.score <= block.anchor - np.abs(block.anchor) * settings.relative_margin)
