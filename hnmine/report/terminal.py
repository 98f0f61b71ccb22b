"""The facts of a report as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hnmine.report.facts import Facts, Histogram

if TYPE_CHECKING:
    from hnmine.audit.estimate import Audit, Estimate

BAR = 24
MOST_HUBS = 3
CELL = 9


def lines(facts: Facts, audit: Audit) -> Iterator[str]:
    """Write the summary of a report."""
    yield facts.path
    yield from _funnel(facts)
    yield ""
    yield from audit.estimate_lines()
    yield from _curve(facts)
    yield f"hardness                   {hardness(facts)}"
    yield ""
    yield from _distributions(facts)
    yield from _mixes(facts)
    yield from _hubness(facts)
    yield ""
    yield from audit.shortcut_lines()
    if facts.no_texts:
        yield f"Texts are missing: {facts.no_texts} Pass --candidates and --index."


def likely_false(facts: Facts) -> str:
    """Say what share of the negatives is likely false."""
    if facts.estimate is None:
        return "unknown: no p_relevant was learned; judge some with `hnmine review`"
    return f"{percent(facts.estimate)} of the negatives, by p_relevant"


def hardness(facts: Facts) -> str:
    """Say in a line what a student would see of the negatives."""
    found = facts.hardness
    if found is None:
        return "unknown: no bi-encoder scored the candidates"
    return f"{found.verdict}: mean loss {found.loss:.2f}, gradient {found.push:.3f} of 1"


def percent(estimate: Estimate) -> str:
    """Write a share with its interval in per cent."""
    rate, low, high = (100 * x for x in (estimate.rate, estimate.low, estimate.high))
    return f"{rate:.2f} % ({low:.2f} to {high:.2f})"


def number(value: float | None) -> str:
    """Write a number with three digits that count; a dash for what is unknown."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _funnel(facts: Facts) -> Iterator[str]:
    total = max(facts.counts["candidates"], 1)
    steps = [(name if count >= 0 else f"- {name}", abs(count)) for name, count in facts.funnel]
    width = max(len(name) for name, _ in steps)
    for name, count in steps:
        bar = "█" * round(BAR * count / total)
        yield f"  {name:<{width}}  {count:>12,}  {100 * count / total:5.1f} %  {bar}".rstrip()
    missing, asked = facts.counts["negatives_missing"], facts.counts["negatives_asked"]
    if missing:
        queries = sum(queries for queries, _ in facts.shortfall.values())
        why = ", ".join(f"{reason} {lack:,}" for reason, (_, lack) in facts.shortfall.items())
        yield f"  {missing:,} of {asked:,} negatives are missing, at {queries:,} queries: {why}"


def _curve(facts: Facts) -> Iterator[str]:
    points = facts.learned.get("curve", [])
    if points:
        yield "  with --target-fn-rate     " + _cells(f"{p['rate']:g}" for p in points)
        yield "    yield                   " + _cells(f"{p['yield']:.2f}" for p in points)
        yield "    mean rank               " + _cells(f"{p['mean_rank']:.1f}" for p in points)


def _cells(cells: Iterator[str] | Sequence[str], width: int = 6) -> str:
    return "".join(f"{cell:>{width}}" for cell in cells)


def _distributions(facts: Facts) -> Iterator[str]:
    yield f"{'':<28}{_cells(('count', 'mean', '5 %', 'median', '95 %'), CELL)}"
    for histogram in (*facts.scores, facts.margins, facts.ranks, facts.lengths):
        if histogram:
            yield from _spreads(histogram)


def _spreads(histogram: Histogram) -> Iterator[str]:
    yield histogram.name
    for group, spread in histogram.spread.items():
        values = (spread.mean, spread.low, spread.median, spread.high)
        cells = [f"{spread.count:,}", *(number(value) for value in values)]
        yield f"  {group:<26}{_cells(cells, CELL)}"


def _mixes(facts: Facts) -> Iterator[str]:
    if facts.mixes:
        yield ""
        yield f"{'found by':<28}{_cells(('found', 'chosen', 'likely'), CELL)}"
    for mix in facts.mixes:
        name = " + ".join(mix.sources) or "none of the sources"
        chance = "-" if np.isnan(mix.p_relevant) else f"{100 * mix.p_relevant:.2f} %"
        yield f"  {name:<26}{_cells((f'{mix.candidates:,}', f'{mix.negatives:,}', chance), CELL)}"


def _hubness(facts: Facts) -> Iterator[str]:
    hubness = facts.hubness
    if hubness is None:
        return
    yield ""
    yield (
        f"{hubness.used:,} of {hubness.documents:,} documents serve as negatives; the most used "
        f"1 % make {100 * hubness.top_share:.1f} % of the negatives; "
        f"skewness {number(hubness.skewness)}"
    )
    for hub in hubness.most[:MOST_HUBS]:
        yield f"  {hub.uses:,} times {hub.doc_id}"
