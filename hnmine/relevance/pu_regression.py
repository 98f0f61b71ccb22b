"""Positive-unlabelled learning: what tells known positives from the candidates around them."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from hnmine.ragged import Floats

PRIOR_WEIGHT = 0.2
PRIOR_STRENGTH = 3.0
"""Weights are drawn to equal ones, as by this many positives: few positives teach little."""

DIGITS = 4
"""Of a weight."""


def learn(positives: Floats, candidates: Floats) -> Floats:
    """Fit a logistic model of "known positive" against "candidate", both of equal weight in all.

    Its output is then the logarithm of how much more often such evidence is seen on positives than
    on candidates. No weight is negative: more evidence never makes a document less relevant.
    Candidates hold positives that nobody labelled; that flattens the model and leaves its order
    (Elkan and Noto, KDD 2008).

    Args:
        positives: features of known positives, shape (positives, features).
        candidates: features of candidates, shape (candidates, features).

    Returns:
        The constant, then a weight for each feature, shape (features + 1,).
    """
    x = np.concatenate([positives, candidates])
    y = np.repeat([1.0, 0.0], [len(positives), len(candidates)])
    share = np.repeat(
        [0.5 / len(positives), 0.5 / len(candidates)], [len(positives), len(candidates)]
    )
    strength = PRIOR_STRENGTH / len(positives)

    def loss(weights: Floats) -> tuple[float, Floats]:
        s = weights[0] + x @ weights[1:]
        pull = weights[1:] - PRIOR_WEIGHT
        error = share * (1 / (1 + np.exp(-s)) - y)
        value = share @ (np.logaddexp(0, s) - y * s) + strength * (pull @ pull) / 2
        return float(value), np.concatenate([[error.sum()], x.T @ error + strength * pull])

    bounds = [(None, None)] + [(0.0, None)] * x.shape[1]
    start = equal_weights(x.shape[1])
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", tol=1e-10)
    # The last digits depend on how many threads share a sum; nothing else should.
    weights: Floats = np.round(found.x, DIGITS)
    return weights


def equal_weights(features: int) -> Floats:
    """Return what a model is that has learned nothing."""
    return np.concatenate([[0.0], np.full(features, PRIOR_WEIGHT)])


def evidence_of(weights: Floats, features: Floats) -> Floats:
    """Return the logarithm of the likelihood ratio of each row, shape (rows,)."""
    return weights[0] + features @ weights[1:]
