"""What a student retrieves for held-out queries, and whether two students differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from typing_extensions import TypedDict

from hnmine.ragged import Ints

NDCG, RECALL, MRR = MEASURES = ("nDCG@10", "R@100", "RR@10")
"""Under the names of ir_measures."""

CUT, DEPTH = 10, 100
SCORES_AT_ONCE = 1 << 23
"""Of queries and documents that are ranked at once."""

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]


class Difference(TypedDict):
    """A mean difference, with its 95 % interval and p by Student's t."""

    mean: float
    low: float
    high: float
    p: float


def measure(queries: Vectors, documents: Vectors, relevant: Sequence[Ints]) -> dict[str, Values]:
    """Return each measure for each query; every relevant document counts the same.

    Args:
        queries: shape (queries, dimension).
        documents: to search, shape (documents, dimension).
        relevant: for each query the rows of its relevant documents, at least one.
    """
    depth = min(DEPTH, len(documents))
    gains = 1 / np.log2(np.arange(CUT) + 2)
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    at_once = max(1, SCORES_AT_ONCE // len(documents))
    for start in range(0, len(queries), at_once):
        scores = queries[start : start + at_once] @ documents.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        for row, own in zip(best, relevant[start : start + at_once], strict=True):
            hits = np.isin(row, own)
            first = np.flatnonzero(hits[:CUT])
            ideal = gains[: min(CUT, len(own))].sum()
            found[NDCG].append(float(gains[first].sum() / ideal))
            found[RECALL].append(float(hits.sum() / len(own)))
            found[MRR].append(float(1 / (first[0] + 1)) if len(first) else 0.0)
    return {name: np.array(values) for name, values in found.items()}


def difference(ours: Values, theirs: Values) -> Difference:
    """Compare two students query by query; other queries and other seeds give other differences.

    With one seed, the interval is that of the paired t test over queries. With several, the
    variance between seeds is added, with Satterthwaite's degrees of freedom.

    Args:
        ours: a measure of each query, shape (queries,), or of each seed, shape (seeds, queries).
        theirs: of the same queries; of the same seeds, or of one.
    """
    apart = np.atleast_2d(ours) - np.atleast_2d(theirs)
    mean = float(apart.mean())
    if not apart.any():
        return {"mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    seeds, queries = apart.shape
    of_query, of_seed = apart.mean(axis=0), apart.mean(axis=1)
    by_query = of_query.var(ddof=1) / queries
    by_seed = 0.0
    if seeds > 1:
        rest = ((apart - of_query - of_seed[:, None] + mean) ** 2).sum()
        both = rest / ((seeds - 1) * (queries - 1)) / (seeds * queries)  # In either variance.
        by_seed = max(0.0, of_seed.var(ddof=1) / seeds - both)
    variance = by_query + by_seed
    if not variance:
        return {"mean": mean, "low": mean, "high": mean, "p": 0.0}
    freedom = variance**2 / (by_query**2 / (queries - 1) + by_seed**2 / max(1, seeds - 1))
    error = np.sqrt(variance)
    width = float(stats.t.ppf(0.975, freedom) * error)
    p = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return {"mean": mean, "low": mean - width, "high": mean + width, "p": p}
