"""What every rate of false negatives would cost: how many negatives are left, and how deep."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hnmine.choose import choose
from hnmine.ragged import Floats
from hnmine.relevance.calibrate import conformal_cut
from hnmine.relevance.depth_price import cost
from hnmine.relevance.model import Estimates, Sample

RATES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75)


def curve(
    sample: Sample,
    estimates: Estimates,
    free: NDArray[np.bool_],
    price: float,
    place: Floats,
    asked: int,
) -> Iterator[dict[str, float]]:
    """Give for each rate that there are positives enough for: its cut, and what is chosen below it.

    Args:
        sample: that was learned from.
        estimates: of its rows.
        free: the candidates that no other rule drops.
        price: of depth, as in `price_of_depth`.
        place: how deep each row stands.
        asked: negatives for each query.
    """
    evidence = estimates.evidence
    positives = evidence[sample.is_positive & sample.found]
    order: Floats = cost(estimates.relevance) + price * np.nan_to_num(place)
    n = np.full(int(sample.query.max(initial=-1)) + 1, asked)
    for rate in RATES:
        if rate * (len(positives) + 1) < 1:
            continue
        cut = conformal_cut(positives, rate)
        below = free & (evidence < cut.value)
        chosen = choose(sample.query, below, order, n)
        if chosen.any():
            yield {
                **vars(cut),
                "candidates_left": float(below.sum() / max(1, sample.candidate.sum())),
                "yield": float(chosen.sum() / n.sum()),
                "mean_rank": float(place[chosen].mean()),
                "highest_p_relevant": float(estimates.p_relevant[chosen].max()),
            }
