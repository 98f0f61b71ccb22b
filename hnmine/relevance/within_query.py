"""How well a score tells the positives of a query from its negatives: the AUC within queries."""

from __future__ import annotations

import numpy as np

from hnmine.ragged import Bools, Floats, Ints


def auc_within(score: Floats, positive: Bools, query: Ints) -> float:
    """Return the chance that a positive has a higher score than a negative of its query.

    Ties count half; every query with both counts the same; NaN if none has.
    """
    found = aucs(score, positive, query)
    return float(found.mean()) if len(found) else np.nan


def either_way(auc: float) -> float:
    """Return an AUC of at least 0.5: a score that points the other way tells as much."""
    return max(auc, 1 - auc)


def aucs(score: Floats, positive: Bools, query: Ints) -> Floats:
    """Return the AUC within each query that has both, in the order of the queries.

    Args:
        score: of each row; rows with NaN are left out.
        positive: whether each is one; all others are negatives.
        query: of each row, any numbers.
    """
    return mean_within(positives_above(score, positive, query)[~positive], query[~positive])


def mean_within(values: Floats, query: Ints) -> Floats:
    """Return the mean of the known values of each query that has any, in order."""
    known = np.isfinite(values)
    _, of_row, counts = np.unique(query[known], return_inverse=True, return_counts=True)
    found: Floats = np.bincount(of_row, values[known], len(counts)) / counts
    return found


def positives_above(score: Floats, positive: Bools, query: Ints) -> Floats:
    """Return the share of its query's positives that score higher than each row.

    Ties count half. NaN where the row's score is unknown, or that of all positives.

    Args:
        score: of each row; NaN where unknown.
        positive: whether each is one.
        query: of each row, any numbers.
    """
    above = np.full(len(score), np.nan)
    known = np.flatnonzero(np.isfinite(score))
    rows = known[np.lexsort((score[known], query[known]))]
    if not len(rows):
        return above
    new_query = np.diff(query[rows], prepend=query[rows[0]] - 1) != 0
    new_score = new_query | (np.diff(score[rows], prepend=np.nan) != 0)
    of_query, of_score = np.cumsum(new_query) - 1, np.cumsum(new_score) - 1
    in_query = np.bincount(of_query, positive[rows])
    tied = np.bincount(of_score, positive[rows])
    up_to = np.cumsum(tied) - np.concatenate([[0], np.cumsum(in_query)])[of_query[new_score]]
    higher = in_query[of_query] - up_to[of_score] + tied[of_score] / 2
    with np.errstate(invalid="ignore"):
        above[rows] = higher / in_query[of_query]
    return above
