"""Positive-unlabelled learning: known positives against candidates that no one labelled."""

from __future__ import annotations

import numpy as np
import scipy  # It loads scipy.optimize, which takes a second, when it is used.

from hnmine.ragged import Floats

PRIOR_WEIGHT = 0.3
PRIOR_STRENGTH = 5.0
"""Regularisation towards equal weights, counted in positives: few positives teach little."""

DIGITS = 4
"""Decimals of a weight. The last ones depend on how many threads share a sum."""


def learn(positives: Floats, candidates: Floats) -> Floats:
    """Fit a logistic regression of known positives against candidates, with equal class weights.

    Its output is then a log likelihood ratio: how much more often such evidence is seen on
    positives than on candidates. No weight is negative: more evidence never makes a document less
    relevant. Unlabelled positives among the candidates flatten the model and keep its order (Elkan
    and Noto, KDD 2008).

    Args:
        positives: features of known positives, shape (positives, features).
        candidates: features of candidates, shape (candidates, features).

    Returns:
        The intercept, then a weight for each feature, shape (features + 1,).
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
    found = scipy.optimize.minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", tol=1e-10
    )
    weights: Floats = np.round(found.x, DIGITS)
    return weights


def equal_weights(features: int) -> Floats:
    """Return the weights of a model that has learned nothing: the prior."""
    return np.concatenate([[0.0], np.full(features, PRIOR_WEIGHT)])


def evidence_of(weights: Floats, features: Floats) -> Floats:
    """Return the log likelihood ratio of each row, shape (rows,)."""
    return weights[0] + features @ weights[1:]
