"""What drops a candidate, and why: every flag of `filter` as an expression that it keeps by.

The rules are asked in this order, and the first that does not hold is the recorded reason; unknown
(null) does not hold. `score` is what --score names, `positive_score` the query's anchor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.expressions.evaluation import evaluate, number, truth
from hnmine.names import REASONS

KEPT = ""

BELOW_THE_POSITIVE = "dense_score < pos(dense_score)"
"""GISTEmbed's rule (Solatorio 2024), with the index's encoder as the guide."""


def rules(settings: FilterSettings, rank: str = "rank") -> dict[str, str]:
    """Return the expression of each rule of ours that the settings ask for, by its reason.

    Those of --where stand apart: a text of the user's never replaces a rule.

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
    return {name: rule for name, rule in given.items() if rule}


def by_text(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield rules that give themselves as the reason, in brackets where that is one of ours."""
    for text in texts:
        yield (f"({text})" if text in REASONS else text), text


def reasons(
    table: pa.Table,
    rules: Mapping[str, str] | Sequence[tuple[str, str]],
    among: NDArray[np.bool_] | None = None,
) -> NDArray[np.str_]:
    """Name for each candidate the first rule that drops it; `KEPT` where none does.

    Args:
        table: the columns that the rules are about.
        rules: the reason that each gives and the expression to keep by, in order.
        among: the rows that functions of the query are taken over.

    Raises:
        UsageError: a rule is no expression, or neither true nor false.
    """
    pairs = list(rules.items() if isinstance(rules, Mapping) else rules)
    holds = evaluate(table, {f"{n}": text for n, (_, text) in enumerate(pairs)}, among)
    reason = np.full(table.num_rows, KEPT, dtype=f"<U{max(len(name) for name, _ in pairs)}")
    for (name, text), found in zip(pairs, holds.columns, strict=True):
        reason[~truth(found, text) & (reason == KEPT)] = name
    return reason


def renamed(names: NDArray[np.str_], where: NDArray[np.bool_], name: str) -> NDArray[np.str_]:
    """Return names with another one in some places, however long it is."""
    wide = names.astype(f"<U{max(names.itemsize // 4, len(name))}")
    wide[where] = name
    return wide
