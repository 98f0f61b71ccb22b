"""What drops a candidate, and why: one function, and one line here, for each rule.

The rules are asked in this order, and the first that drops a candidate is its recorded reason.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.filters import finite, margin, near_copy, positives, rank, score
from hnmine.filters.base import Block, Filter

FILTERS: dict[str, Filter] = {
    "positive": positives.known_positive,
    "query": positives.query_itself,
    "near-copy": near_copy.near_copy,
    "not-finite": finite.not_finite,
    "rank": rank.outside_window,
    "same-score": margin.same_score,
    "margin": margin.margin,
    "relative-margin": margin.relative_margin,
    "max-score": score.above_max,
    "min-score": score.below_min,
}

KEPT = ""


def reasons(block: Block, settings: FilterSettings) -> NDArray[np.str_]:
    """Name for each candidate the first rule that drops it; `KEPT` where none does."""
    reason = np.full(len(block.score), KEPT, dtype=f"<U{max(map(len, FILTERS))}")
    for name, rule in FILTERS.items():
        drop = rule(block, settings)
        if drop is not None:
            reason[drop & (reason == KEPT)] = name
    return reason
