"""Where relevance begins for a judge that gives scores alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.ragged import Bools, Floats

FOLDS = 5


def verdicts_by_scores(
    scores: Floats, positive: Bools, random: Bools, noise: NDArray[np.uint64]
) -> Floats:
    """Return a verdict of 0 or 1 for each score; NaN where nothing can be learned, or no score.

    Rows are divided into folds. The verdicts of a fold use the threshold that the controls of the
    other folds give, so the hits and alarms counted on controls are those of all other rows.

    Args:
        scores: of each row; NaN without one.
        positive: which rows are known positives.
        random: which rows are random documents.
        noise: a random number for each row, which depends on its ids alone.
    """
    fold = noise % np.uint64(FOLDS)
    verdicts = np.full(len(scores), np.nan)
    for number in range(FOLDS):
        others = (fold != number) & np.isfinite(scores)
        least = threshold(scores[others & positive], scores[others & random])
        here = (fold == number) & np.isfinite(scores)
        verdicts[here] = np.nan if least is None else scores[here] >= least
    return verdicts


def threshold(positives: Floats, others: Floats) -> float | None:
    """Return the score from which rows count as relevant; None without scores of both kinds.

    It has the largest difference between the shares of both kinds that are relevant (Youden's
    index). Of several it is the highest: documents in between are harder than random ones.
    """
    if not len(positives) or not len(others):
        return None
    steps = np.unique(positives)
    shares = [1 - np.searchsorted(np.sort(kind), steps) / len(kind) for kind in (positives, others)]
    index = shares[0] - shares[1]
    return float(steps[np.flatnonzero(index >= index.max() - 1e-12)[-1]])
