"""The rules that are compared: each a score per candidate, the higher the more likely relevant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.evaluate import Floats
from benchmarks.quality.table import Table

TOP_K = "top-k as retrieved"
BI_ENCODER = "bi-encoder, relative margin"
CROSS_ENCODER = "cross-encoder, margin"

AS_USED = {
    "top-k as retrieved": (TOP_K, np.inf),
    "bi-encoder, relative margin 0.05": (BI_ENCODER, -0.05),
    "cross-encoder, margin 3": (CROSS_ENCODER, -3.0),
}
"""Settings in use: rule and cut, with `range_min` 0."""

NAMES = {"dense_score": "bi-encoder", "ce_score": "cross-encoder", "bm25_score": "BM25"}


def rules(table: Table) -> dict[str, Floats]:
    """Return every rule that the judges of a table allow, by name, shape (candidates,) each."""
    found: dict[str, Floats] = {TOP_K: np.zeros(len(table.pool.query))}
    for column, score in table.judges.items():
        name = NAMES.get(column, column.removesuffix("_score"))
        found[f"{name}, cut"] = score
        if column != "relevance":
            anchor = table.anchors[column]
            found[f"{name}, margin"] = score - anchor
            with np.errstate(invalid="ignore", divide="ignore"):
                found[f"{name}, relative margin"] = (score - anchor) / np.abs(anchor)
    # A positive has no similarity to itself, so that there is no anchor for it.
    found = {name: score for name, score in found.items() if np.isfinite(score).any()}
    if "ce_score" in table.judges:
        found["z-scores: logit, margin, to positive"] = (
            standardised(table.judges["ce_score"])
            + standardised(found[CROSS_ENCODER])
            + standardised(table.to_positive)
        )
    return found


def standardised(values: NDArray[Any]) -> Floats:
    """Return values less their mean over their standard deviation, by the finite ones."""
    finite = values[np.isfinite(values)]
    result: Floats = (values - finite.mean()) / (finite.std() or 1.0)
    return result
