"""Scores that are no numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.filters.base import Block


def not_finite(block: Block, settings: FilterSettings) -> NDArray[np.bool_]:
    """Drop candidates whose score, or whose positive's score, is NaN or infinite."""
    return ~(np.isfinite(block.score) & np.isfinite(block.anchor))
