"""The figures of the page, one function each; none where there is nothing to draw."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from hnmine.report.facts import DROPPED, KEPT, NEGATIVE, POSITIVE, Facts, Histogram
from hnmine.report.svg import BLUE, GREEN, GREY, INK, MUTED, ORANGE, drawing

# Line styles beside colours: a figure must be readable without them, on paper too.
LOOKS = {
    POSITIVE: (BLUE, "-"),
    NEGATIVE: (ORANGE, "--"),
    KEPT: (GREEN, ":"),
    DROPPED: (GREY, "-."),
}
LONGEST_LABEL = 40
CHANCES = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
HALF = 5.0
"""Inches of a figure that stands beside another."""


def funnel(facts: Facts) -> str:
    """Draw how many candidates each rule drops, and how many are left."""
    names = [name if count >= 0 else f"dropped: {name}" for name, count in facts.funnel]
    counts = np.array([count for _, count in facts.funnel])
    drops = counts < 0
    # A drop hangs from where the steps before it have come to.
    left = np.where(drops, facts.counts["candidates"] + np.cumsum(counts * drops), 0)
    with drawing("funnel", "Funnel from candidates to negatives", 0.6 + 0.32 * len(names)) as drawn:
        axes = drawn.axes[0]
        colours = [GREY if drop else BLUE for drop in drops]
        colours[-1] = ORANGE
        axes.barh(_short(names), np.abs(counts), left=left, color=colours, height=0.7)
        for row, count in enumerate(np.abs(counts)):
            axes.annotate(
                f"{count:,}",
                (left[row] + count, row),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.margins(x=0.12)
        axes.spines["bottom"].set_visible(False)
    return drawn.svg


def distribution(histogram: Histogram, name: str) -> str:
    """Draw the share of each group's values in each bin."""
    title = f"Distribution of {histogram.name}: {', '.join(histogram.counts)}"
    with drawing(name, title, width=HALF) as drawn:
        axes = drawn.axes[0]
        for group, counts in histogram.counts.items():
            share = 100 * np.array(counts) / max(sum(counts), 1)
            colour, line = LOOKS[group]
            edges = histogram.edges
            axes.stairs(share, edges, label=group, color=colour, linestyle=line, linewidth=1.8)
            if group in (POSITIVE, NEGATIVE):
                axes.stairs(share, edges, fill=True, alpha=0.15, color=colour)
        if histogram.scale == "log":
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.xaxis.set_minor_formatter("")
        if histogram.scale == "logit":
            axes.set_xscale("logit")
            axes.set_xticks(CHANCES, [f"{100 * chance:g} %" for chance in CHANCES])
            axes.xaxis.set_minor_formatter("")
        axes.set_xlabel(histogram.name)
        axes.set_ylabel("% of group")
        axes.legend(fontsize=9)
    return drawn.svg


def mixes(facts: Facts) -> str:
    """Draw what share of candidates and of negatives each mix of sources found."""
    names = [" + ".join(mix.sources) or "no source" for mix in facts.mixes]
    with drawing("mixes", "Candidates and negatives by source", 0.9 + 0.5 * len(names)) as drawn:
        axes = drawn.axes[0]
        rows = np.arange(len(names))
        for shift, group, values in (
            (-0.19, "candidates", [mix.candidates for mix in facts.mixes]),
            (0.19, "negatives", [mix.negatives for mix in facts.mixes]),
        ):
            share = 100 * np.array(values) / max(sum(values), 1)
            colour, hatch = (GREY, "") if group == "candidates" else (ORANGE, "//")
            axes.barh(rows + shift, share, 0.36, label=group, color=colour, hatch=hatch)
        axes.set_yticks(rows, _short(names))
        axes.invert_yaxis()
        axes.set_xlabel("% of all")
        axes.legend(fontsize=9, loc="lower right")
    return drawn.svg


def hubness(facts: Facts) -> str:
    """Draw how many documents serve how many queries as a negative."""
    if facts.hubness is None:
        return ""
    bands = facts.hubness.bands
    with drawing("hubness", "Documents by how many queries they are a negative of") as drawn:
        axes = drawn.axes[0]
        bars = axes.bar(list(bands), list(bands.values()), color=ORANGE, width=0.7)
        axes.bar_label(bars, [f"{count:,}" for count in bands.values()], fontsize=9, color=INK)
        axes.set_xlabel("queries that a document is a negative of")
        axes.set_ylabel("documents")
        axes.grid(visible=False, axis="x")
    return drawn.svg


def shortcuts(facts: Facts) -> str:
    """Draw how well trivial features tell positives from negatives, with intervals."""
    if not facts.shortcuts:
        return ""
    height = 0.9 + 0.35 * len(facts.shortcuts)
    with drawing("shortcuts", "Area under the ROC curve of trivial features", height) as drawn:
        axes = drawn.axes[0]
        for row, found in enumerate(facts.shortcuts.values()):
            axes.plot([found.low, found.high], [row, row], color=ORANGE, linewidth=3)
            axes.plot([found.rate], [row], "o", color=ORANGE, markersize=8)
        axes.axvline(0.5, color=MUTED, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(facts.shortcuts)), list(facts.shortcuts))
        axes.set_ylim(len(facts.shortcuts) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xlabel("negatives have more  ←  0.5: tells nothing  →  positives have more")
    return drawn.svg


def curve(facts: Facts) -> str:
    """Draw what each rate of false negatives costs in yield and in depth."""
    points = facts.learned.get("curve", [])
    if not points:
        return ""
    rates = [point["rate"] for point in points]
    with drawing("curve", "Yield and mean rank by the rate of false negatives", 2.6, 2) as drawn:
        left, right = drawn.axes
        left.plot(rates, [p["yield"] for p in points], "o-", color=BLUE, label="yield")
        share = [p["candidates_left"] for p in points]
        left.plot(rates, share, "s--", color=GREY, label="candidates left")
        left.set_ylim(0, 1.05)
        left.set_ylabel("share")
        left.legend(fontsize=9)
        ranks = [p["mean_rank"] for p in points]
        right.plot(rates, ranks, "o-", color=ORANGE)
        right.set_ylim(0, 1.1 * max(ranks) + 1)
        right.set_ylabel("mean rank of the negatives")
        for axes in drawn.axes:
            _rate_axis(axes)
    return drawn.svg


def _rate_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_xticks([0.01, 0.05, 0.2, 0.75], ["1 %", "5 %", "20 %", "75 %"])
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("--target-fn-rate")


def _short(names: list[str]) -> list[str]:
    return [n if len(n) <= LONGEST_LABEL else n[: LONGEST_LABEL - 1] + "…" for n in names]
