"""What is never a negative: known positives with their copies, and the query itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.filters.base import Block


def known_positive(block: Block, settings: FilterSettings) -> NDArray[np.bool_]:
    """Drop the query's known positives; copies share their row (see `texts.Texts`)."""
    return block.is_positive


def query_itself(block: Block, settings: FilterSettings) -> NDArray[np.bool_]:
    """Drop documents whose text is the query."""
    return block.is_query
