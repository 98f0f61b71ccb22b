"""Rules that drop candidates: each flag of `filter` as an expression to keep by.

The first rule that is not true, in this order, is the recorded reason; null is not true. `score` is
what --score names, `positive_score` that of the query's positives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.expressions.evaluation import evaluate, number, truth
from hnmine.names import REASONS
from hnmine.ragged import Bools

KEPT = ""

BELOW_THE_POSITIVE = "dense_score < pos(dense_score)"
"""GISTEmbed's rule (Solatorio 2024), with the index's encoder as the guide."""


def rules(settings: FilterSettings) -> dict[str, str]:
    """Return the expressions of the built-in rules that the settings ask for, by reason.

    Expressions of --where are not among them, so that none can replace a built-in rule.

    Args:
        settings: with score and margins resolved.
    """
    margin, share = settings.margin, settings.relative_margin
    rank = "dense_rank" if settings.compat else "rank"
    window = [f"{rank} >= {settings.range_min}"] if settings.range_min else []
    window += [f"{rank} < {settings.range_max}"] if settings.range_max else []
    expressions = {
        "positive": "not is_positive",
        "query": "not is_query",
        # In float32 like the stored share: 0.9 in float32 is not 0.9 in float64.
        "near-copy": f"coalesce(near_copy::float < {number(settings.near_copy)}::float, true)",
        "not-finite": "isfinite(score) and isfinite(positive_score)",
        "rank": " and ".join(window),
        # Most likely a copy of the positive.
        "same-score": not settings.compat and "score <> positive_score",
        "margin": margin is not None and f"score <= positive_score - {number(margin)}",
        # Not positive_score * (1 - r), which reverses for negative scores
        # (sentence-transformers issue 3819).
        "relative-margin": share is not None
        and f"score <= positive_score - abs(positive_score) * {number(share)}",
        "max-score": settings.max_score is not None and f"score <= {number(settings.max_score)}",
        "min-score": settings.min_score is not None and f"score >= {number(settings.min_score)}",
    }
    return {reason: text for reason, text in expressions.items() if text}


def by_text(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (reason, expression) of --where: the reason is the text, bracketed if built in."""
    for text in texts:
        yield (f"({text})" if text in REASONS else text), text


def reasons(
    table: pa.Table,
    rules: Mapping[str, str] | Sequence[tuple[str, str]],
    among: Bools | None = None,
) -> NDArray[np.str_]:
    """Return the reason of the first rule that drops each candidate; `KEPT` if none does.

    Args:
        table: the columns that the rules use.
        rules: reason and expression to keep by, in order.
        among: the rows that functions of the query see.

    Raises:
        UsageError: an expression is invalid or not boolean.
    """
    pairs = list(rules.items() if isinstance(rules, Mapping) else rules)
    holds = evaluate(table, {f"{n}": text for n, (_, text) in enumerate(pairs)}, among)
    reason = np.full(table.num_rows, KEPT, dtype=f"<U{max(len(name) for name, _ in pairs)}")
    for (name, text), column in zip(pairs, holds.columns, strict=True):
        reason[~truth(column, text) & (reason == KEPT)] = name
    return reason


def renamed(names: NDArray[np.str_], where: Bools, name: str) -> NDArray[np.str_]:
    """Return a copy of names with some replaced; a longer name is not cut."""
    wide = names.astype(f"<U{max(names.itemsize // 4, len(name))}")
    wide[where] = name
    return wide
