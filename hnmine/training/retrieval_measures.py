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
QUERIES_AT_ONCE = 512
Vectors = NDArray[np.float32]
Values = NDArray[np.float64]


class Difference(TypedDict):
    """A mean difference over queries, with the 95 % interval and p of the paired t test."""

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
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        scores = queries[start : start + QUERIES_AT_ONCE] @ documents.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        for row, own in zip(best, relevant[start : start + QUERIES_AT_ONCE], strict=True):
            hits = np.isin(row, own)
            first = np.flatnonzero(hits[:CUT])
            ideal = gains[: min(CUT, len(own))].sum()
            found[NDCG].append(float(gains[first].sum() / ideal))
            found[RECALL].append(float(hits.sum() / len(own)))
            found[MRR].append(float(1 / (first[0] + 1)) if len(first) else 0.0)
    return {name: np.array(values) for name, values in found.items()}


def difference(ours: Values, theirs: Values) -> Difference:
    """Compare two students query by query.

    Args:
        ours: a measure of each query, the mean over seeds.
        theirs: of the same queries.
    """
    apart = ours - theirs
    if not apart.any():
        return {"mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    tested = stats.ttest_rel(ours, theirs)
    interval = tested.confidence_interval(0.95)
    return {
        "mean": float(apart.mean()),
        "low": float(interval.low),
        "high": float(interval.high),
        "p": float(tested.pvalue),
    }
