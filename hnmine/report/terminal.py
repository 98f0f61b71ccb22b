"""The summary of a report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from hnmine.printable import aligned, fitted
from hnmine.report.facts import Facts

if TYPE_CHECKING:
    from hnmine.audit.estimate import Audit
    from hnmine.report.verdict import Verdict

BAR = 24
MOST_HUBS = 3


def lines(facts: Facts, audit: Audit, verdict: Verdict) -> Iterator[str]:
    """Write the summary of a report."""
    yield facts.path
    yield from verdict.lines()
    yield ""
    yield from _funnel(facts)
    yield from (f"  {said}" for said in facts.rows)
    yield ""
    yield from audit.estimate_lines()
    yield f"hardness: {hardness(facts)}"
    yield ""
    yield from _distributions(facts)
    yield from _mixes(facts)
    yield from _hubness(facts)
    yield ""
    yield from audit.uncleaned_lines()
    yield from audit.shortcut_lines()
    if facts.no_texts:
        yield f"Texts are missing: {facts.no_texts} Pass --candidates and --index."


def hardness(facts: Facts) -> str:
    """Return the hardness of the negatives as words."""
    found = facts.hardness
    if found is None:
        return "unknown, as no bi-encoder scored the candidates"
    return f"mean loss {found.loss:.2f}, mean gradient {found.push:.3f} of 1"


def number(value: float | None) -> str:
    """Return a number with three significant digits, or a dash for an unknown one."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _funnel(facts: Facts) -> Iterator[str]:
    total = max(facts.counts["candidates"], 1)
    yield from fitted(
        (
            (
                f"  {name if count >= 0 else f'- {name}'}",
                f"{abs(count):,}",
                f"{100 * abs(count) / total:.1f} %",
                "█" * round(BAR * abs(count) / total),
            )
            for name, count in facts.funnel
        ),
        "<>><",
    )
    missing, asked = facts.counts["negatives_missing"], facts.counts["negatives_asked"]
    if missing:
        queries = sum(queries for queries, _ in facts.shortfall.values())
        why = ", ".join(f"{reason} {lack:,}" for reason, (_, lack) in facts.shortfall.items())
        yield f"  {missing:,} of {asked:,} negatives are missing, for {queries:,} queries: {why}"


def _distributions(facts: Facts) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("", "count", "mean", "5 %", "median", "95 %")]
    for histogram in (*facts.scores, facts.margins, facts.ranks, facts.lengths):
        if histogram:
            rows.append((histogram.name,))
            for group, spread in histogram.spread.items():
                values = (spread.mean, spread.low, spread.median, spread.high)
                rows.append((f"  {group}", f"{spread.count:,}", *map(number, values)))
    yield from aligned(rows)


def _mixes(facts: Facts) -> Iterator[str]:
    if facts.mixes:
        yield ""
        yield from aligned(
            [
                ("found by", "candidates", "negatives"),
                *(
                    (
                        f"  {' + '.join(mix.sources) or 'no source'}",
                        f"{mix.candidates:,}",
                        f"{mix.negatives:,}",
                    )
                    for mix in facts.mixes
                ),
            ]
        )


def _hubness(facts: Facts) -> Iterator[str]:
    hubness = facts.hubness
    if hubness is None:
        return
    yield ""
    yield (
        f"{hubness.used:,} of {hubness.documents:,} candidate documents serve as negatives; the "
        f"most used 1 % make up {100 * hubness.top_share:.1f} % of the negatives; "
        f"skewness {number(hubness.skewness)}"
    )
    for hub in hubness.most[:MOST_HUBS]:
        yield f"  {hub.doc_id}: negative of {hub.uses:,} queries"
