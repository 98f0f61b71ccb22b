"""Rules that look at the score alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.filters.base import Block


def above_max(block: Block, settings: FilterSettings) -> NDArray[np.bool_] | None:
    """Keep `score <= max_score`."""
    return None if settings.max_score is None else ~(block.score <= settings.max_score)


def below_min(block: Block, settings: FilterSettings) -> NDArray[np.bool_] | None:
    """Keep `score >= min_score`."""
    return None if settings.min_score is None else ~(block.score >= settings.min_score)
