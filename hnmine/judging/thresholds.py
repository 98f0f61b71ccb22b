"""Where relevance begins for a judge that gives scores alone."""

from __future__ import annotations

import numpy as np
import scipy  # It loads scipy.stats, which takes most of a second, when it is used.
from numpy.typing import NDArray

from hnmine.intervals import CONFIDENCE
from hnmine.ragged import Bools, Floats

FOLDS = 5


def verdicts_by_scores(
    scores: Floats, positive: Bools, other: Bools, noise: NDArray[np.uint64]
) -> Floats:
    """Return a verdict of 0 or 1 for each score; NaN where nothing can be learned, or no score.

    Rows are divided into folds. The verdicts of a fold use the threshold that the other folds give,
    so the hits and alarms counted on controls did not choose it.

    Args:
        scores: of each row; NaN without one.
        positive: which rows are known positives.
        other: which rows are an even sample, or random documents where there is none.
        noise: a random number for each row, which depends on its ids alone.
    """
    fold = noise % np.uint64(FOLDS)
    verdicts = np.full(len(scores), np.nan)
    for number in range(FOLDS):
        learnt = (fold != number) & np.isfinite(scores)
        least = threshold(scores[learnt & positive], scores[learnt & other])
        here = (fold == number) & np.isfinite(scores)
        verdicts[here] = np.nan if least is None else scores[here] >= least
    return verdicts


def threshold(positives: Floats, others: Floats) -> float | None:
    """Return the score from which rows count as relevant; None without scores of both kinds.

    The share of relevant rows among the others is at most the share of them above the threshold,
    divided by that of the known positives. The threshold makes this bound smallest, with the
    errors of both shares in it. Random documents alone would not do: nearly all hard negatives
    score above them.
    """
    if not len(positives) or not len(others):
        return None
    steps = np.unique(positives)
    hits, flagged = (
        len(kind) - np.searchsorted(np.sort(kind), steps) for kind in (positives, others)
    )
    tail = (1 - CONFIDENCE) / 2
    least = scipy.stats.beta.ppf(tail, hits, len(positives) - hits + 1)
    most = np.where(
        flagged < len(others),
        scipy.stats.beta.ppf(1 - tail, flagged + 1, np.maximum(len(others) - flagged, 1)),
        1,
    )
    return float(steps[::-1][np.argmin((most / least)[::-1])])
