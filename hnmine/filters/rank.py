"""Windows over the ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.filters.base import Block


def outside_window(block: Block, settings: FilterSettings) -> NDArray[np.bool_] | None:
    """Keep ranks of `range_min` and more, and below `range_max`; ranks precede all rules."""
    if settings.range_min == 0 and settings.range_max is None:
        return None
    stop = np.inf if settings.range_max is None else settings.range_max
    return ~((block.rank >= settings.range_min) & (block.rank < stop))
