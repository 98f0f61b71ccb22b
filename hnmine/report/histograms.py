"""Histograms, counted by SQL: only the counts are held in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hnmine.directories.scored_view import ScoredView
from hnmine.report.facts import Histogram, Scale, Spread

BINS = 40


def histogram(
    scored: ScoredView,
    name: str,
    value: str,
    groups: Sequence[str],
    *,
    table: str = "scored",
    group: str = "kind",
    scale: Scale = "linear",
) -> Histogram | None:
    """Count the finite values of an SQL expression; None if it has none.

    Args:
        scored: the view that holds the table.
        name: label of the values.
        value: the expression.
        groups: to count, in order; a group without a value is left out.
        table: the table of the expression.
        group: the expression of the group.
        scale: `whole`: whole numbers, in bins at least 1 wide; `log`: values of at least 1, in bins
            that grow with them.
    """
    rows = (
        f"(select {group} as kind, ({_scaled(value, scale)})::double as x, "
        f"({value})::double as plain from {table}) "
        "where isfinite(plain) and isfinite(x) and kind is not null"
    )
    spread = {
        kind: Spread(count, mean, *(map(round, quantiles) if scale == "whole" else quantiles))
        for kind, count, mean, quantiles in scored.ask(
            "select kind, count(*), avg(plain), approx_quantile(plain, [0.05, 0.5, 0.95]) "
            f"from {rows} group by kind"
        )
    }
    found = [kind for kind in groups if kind in spread]
    if not found:
        return None
    low, high = scored.ask(f"select min(x), max(x) from {rows}")[0]
    width, bins = _bins(low, high, whole=scale == "whole")
    counts = {kind: [0] * bins for kind in found}
    place = f"least(floor((x - ({low!r}::double)) / {width!r}), {bins - 1})::int"
    for kind, at, count in scored.ask(f"select kind, {place}, count(*) from {rows} group by all"):
        if kind in counts:
            counts[kind][at] = count
    edges = low + width * np.arange(bins + 1)
    if scale == "log":
        edges = np.exp(edges)
    return Histogram(name, edges.tolist(), counts, {kind: spread[kind] for kind in found}, scale)


def _scaled(value: str, scale: Scale) -> str:
    """Return the expression that has bins of equal width."""
    if scale == "log":
        return f"ln(greatest({value}, 1))"
    return value


def _bins(low: float, high: float, *, whole: bool) -> tuple[float, int]:
    if whole:
        width = max(1, int(np.ceil((high - low + 1) / BINS)))
        return float(width), int(np.ceil((high - low + 1) / width))
    return ((high - low) / BINS, BINS) if high > low else (1.0, 1)
