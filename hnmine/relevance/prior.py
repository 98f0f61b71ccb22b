"""How many candidates are relevant without anybody having said so, from above."""

from __future__ import annotations

import numpy as np

from hnmine.ragged import Floats

TAILS = np.linspace(0.1, 0.9, 33)
"""Shares of the positives at which the two tails are compared; further out they are too few."""


def share_of_relevant(positives: Floats, candidates: Floats) -> float:
    """Bound the share of candidates that are like the known positives.

    If a share w of the candidates were, at least w times the positives' tail would be in the
    candidates' tail, wherever one cuts: so w is at most the smallest ratio of the two (Scott,
    AISTATS 2015). One positive more, as in conformal prediction, keeps a small sample from being
    too sure.

    Args:
        positives: evidence on known positives, each by a model that has not seen it.
        candidates: evidence on candidates.
    """
    cuts = np.quantile(positives, 1 - TAILS)
    ordered = np.sort(candidates)
    above = len(ordered) - np.searchsorted(ordered, cuts)
    of_positives = (positives[None] >= cuts[:, None]).sum(axis=1) / (len(positives) + 1)
    return float(np.min((above + 1) / (len(candidates) + 1) / of_positives))


def probability(evidence: Floats, share: float) -> Floats:
    """Return the chance that a candidate is relevant: the share times the likelihood ratio.

    The ratio is against all candidates, the relevant among them, so the product is a probability;
    it is cut at 1.
    """
    result: Floats = np.minimum(1.0, share * np.exp(np.minimum(evidence, 50.0)))
    return result
