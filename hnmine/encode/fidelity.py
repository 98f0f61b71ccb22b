"""How far half precision is from fp32, measured on a few texts of a long run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.ragged import Ints
from hnmine.runner.plan import Json

PAYS_FROM = 100
"""Times as long as it took to load, a model has run before it is worth loading it in fp32 too."""

SAMPLE = 256


def sampled(count: int) -> Ints:
    """Return positions of some of so many texts, evenly spread."""
    rows: Ints = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
    return rows


def of_vectors(exact: NDArray[np.float32], ours: NDArray[np.float32]) -> Json:
    """Compare vectors of the same texts by their cosines."""
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(ours, axis=1)
    cosines = (exact * ours).sum(axis=1)[lengths > 0] / lengths[lengths > 0]
    return {
        "texts": len(exact),
        "least_cosine": round(float(cosines.min(initial=1.0)), 6),
        "mean_cosine": round(float(cosines.mean()) if len(cosines) else 1.0, 6),
    }


def of_logits(exact: NDArray[np.float32], ours: NDArray[np.float32]) -> Json:
    """Compare logits of the same pairs by their differences and their order."""
    from scipy.stats import spearmanr

    finite = np.isfinite(exact) & np.isfinite(ours)
    exact, ours = exact[finite], ours[finite]
    constant = len(exact) < 2 or np.ptp(exact) == 0 or np.ptp(ours) == 0
    return {
        "pairs": len(exact),
        "largest_difference": round(float(np.abs(exact - ours).max(initial=0.0)), 6),
        "standard_deviation": round(float(exact.std()) if len(exact) else 0.0, 6),
        "rank_correlation": None if constant else round(float(spearmanr(exact, ours)[0]), 6),
    }
