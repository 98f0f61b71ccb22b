"""Documents that differ from a positive in a few words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.filters.base import Block


def near_copy(block: Block, settings: FilterSettings) -> NDArray[np.bool_]:
    """Drop candidates that share so much with a positive; see `shingles.containment`."""
    return block.near_copy >= settings.near_copy
