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
    known = np.isfinite(score)
    score, positive = score[known], positive[known]
    _, query = np.unique(query[known], return_inverse=True)
    order = np.lexsort((score, query))
    score, positive, query = score[order], positive[order], query[order]
    first = np.ones(len(query), dtype=bool)
    first[1:] = (query[1:] != query[:-1]) | (score[1:] != score[:-1])
    group = np.cumsum(first) - 1
    groups = int(group[-1]) + 1 if len(group) else 0
    positives = np.bincount(group, positive, groups)
    negatives = np.bincount(group, ~positive, groups)
    of_group = query[first]
    queries = int(query[-1]) + 1 if len(query) else 0
    totals = [np.bincount(of_group, counts, queries) for counts in (positives, negatives)]
    before = np.concatenate([[0.0], np.cumsum(negatives)])[:-1]
    before -= np.concatenate([[0.0], np.cumsum(totals[1])])[:-1][of_group]
    wins = np.bincount(of_group, positives * (before + negatives / 2), queries)
    pairs = totals[0] * totals[1]
    both = pairs > 0
    found: Floats = wins[both] / pairs[both]
    return found
