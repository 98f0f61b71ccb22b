"""What drops a candidate, and why: every flag of `filter` as an expression that it keeps by.

The rules are asked in this order, and the first that does not hold is the recorded reason; unknown
(null) does not hold. `score` is what --score names, `positive_score` the query's anchor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.expressions import evaluate, number, truth

KEPT = ""

BELOW_THE_POSITIVE = "dense_score < pos(dense_score)"
"""GISTEmbed's rule (Solatorio 2024), with the index's encoder as the guide."""


def rules(settings: FilterSettings, rank: str = "rank") -> dict[str, str]:
    """Return the expression of each rule that the settings ask for, by the reason that it gives.

    Args:
        settings: with score and margins resolved.
        rank: the column that `range_min` and `range_max` are about.
    """
    margin, share, chance = settings.margin, settings.relative_margin, settings.max_p_relevant
    window = [f"{rank} >= {settings.range_min}"] if settings.range_min else []
    window += [f"{rank} < {settings.range_max}"] if settings.range_max else []
    given = {
        "positive": "not is_positive",
        "query": "not is_query",
        # In float32, as the share is kept: 0.9 of float32 is not 0.9 of float64.
        "near-copy": f"coalesce(near_copy::float < {number(settings.near_copy)}::float, true)",
        "not-finite": "isfinite(score) and isfinite(positive_score)",
        "rank": " and ".join(window),
        # Most likely the same text in disguise.
        "same-score": not settings.compat and "score <> positive_score",
        "margin": margin is not None and f"score <= positive_score - {number(margin)}",
        # Not positive_score * (1 - r): that turns round where scores are negative
        # (sentence-transformers issue 3819).
        "relative-margin": share is not None
        and f"score <= positive_score - abs(positive_score) * {number(share)}",
        "max-score": settings.max_score is not None and f"score <= {number(settings.max_score)}",
        "min-score": settings.min_score is not None and f"score >= {number(settings.min_score)}",
        # Unknown where there were too few positives to learn a chance from.
        "p-relevant": chance is not None and f"coalesce(p_relevant <= {number(chance)}, true)",
    }
    return {name: rule for name, rule in given.items() if rule} | {
        rule: rule for rule in settings.where
    }


def reasons(
    table: pa.Table, rules: Mapping[str, str], among: NDArray[np.bool_] | None = None
) -> NDArray[np.str_]:
    """Name for each candidate the first rule that drops it; `KEPT` where none does.

    Args:
        table: the columns that the rules are about.
        rules: the expressions to keep by, in order.
        among: the rows that functions of the query are taken over.

    Raises:
        UsageError: a rule is no expression, or neither true nor false.
    """
    holds = evaluate(table, rules, among)
    reason = np.full(table.num_rows, KEPT, dtype=f"<U{max(map(len, rules))}")
    for name, text in rules.items():
        reason[~truth(holds[name], text) & (reason == KEPT)] = name
    return reason
