"""The figures of the page, one function each; empty without data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from markupsafe import Markup

from hnmine.directories.scored_view import DROPPED, KEPT, NEGATIVE, POSITIVE
from hnmine.report.drawing import (
    FONT,
    GRID,
    INK,
    WIDTH,
    Axis,
    Tick,
    element,
    figure,
    label_place,
    line,
    round_ticks,
    text,
    ticks_that_fit,
    width,
)
from hnmine.report.facts import Facts, Histogram, Scale
from hnmine.report.terminal import number

BLUE, ORANGE, GREEN, GREY = (f"var(--{name})" for name in (POSITIVE, NEGATIVE, KEPT, DROPPED))
# Line styles besides colours: figures must be readable in black and white.
LOOKS = {
    POSITIVE: (BLUE, "none"),
    NEGATIVE: (ORANGE, "6 3"),
    KEPT: (GREEN, "2 2"),
    DROPPED: (GREY, "7 2 2 2"),
}
TINY = 1e-9
SCALES: dict[Scale, Callable[[float], float]] = {
    "linear": float,
    "whole": float,
    "log": lambda value: math.log(max(value, TINY)),
}
TOP, BOTTOM, RIGHT, HEIGHT = 46.0, 202.0, 388.0, 240.0
"""Edges of a plot with axes, in pixels."""

Bar = tuple[float, float, str, str]
"""Start, length, label and colour."""


def funnel(facts: Facts) -> Markup:
    """Draw how many candidates each rule drops, and how many remain."""
    drops = [min(count, 0) for _, count in facts.funnel]
    # A drop starts where the drops before it ended.
    left = [facts.counts["candidates"] + fallen for fallen in accumulate(drops)]
    rows = []
    for (name, count), remaining in zip(facts.funnel, left, strict=True):
        if count < 0:
            rows.append((f"dropped: {name}", [(remaining, -count, f"{-count:,}", GREY)]))
        else:
            colour = ORANGE if name == "chosen" else BLUE
            rows.append((name, [(0, count, f"{count:,}", colour)]))
    return _bars("Funnel from candidates to negatives", rows)


def mixes(facts: Facts) -> Markup:
    """Draw the share of candidates and of negatives that each mix of sources found."""
    candidates = max(sum(mix.candidates for mix in facts.mixes), 1)
    negatives = max(sum(mix.negatives for mix in facts.mixes), 1)
    rows = []
    for mix in facts.mixes:
        found, chosen = 100 * mix.candidates / candidates, 100 * mix.negatives / negatives
        bars = [(0, found, f"{found:.1f} % of candidates", GREY)]
        bars += [(0, chosen, f"{chosen:.1f} % of negatives", ORANGE)]
        rows.append((" + ".join(mix.sources) or "no source", bars))
    return _bars("Candidates and negatives by source", rows)


def hubness(facts: Facts) -> Markup:
    """Draw the number of documents by the number of queries that they are a negative of."""
    bands = facts.hubness.bands if facts.hubness else {}
    rows = [
        (f"{band} {'query' if band == '1' else 'queries'}", [(0, count, f"{count:,}", ORANGE)])
        for band, count in bands.items()
    ]
    return _bars("Documents by how many queries they are a negative of", rows)


def _bars(title: str, rows: Sequence[tuple[str, Sequence[Bar]]]) -> Markup:
    """Draw horizontal bars; long names stand above their bars."""
    if not rows:
        return Markup()
    names = max(width(name) for name, _ in rows) + FONT
    beside = names <= 0.4 * WIDTH
    left = names if beside else 0.0
    bars = [bar for _, group in rows for bar in group]
    room = WIDTH - left - max(width(words) for _, _, words, _ in bars) - FONT
    most = max(start + length for start, length, _, _ in bars) or 1
    parts, said, y = [], [], 4.0
    for name, group in rows:
        thick = 16.0 if len(group) == 1 else 13.0
        if beside:
            parts.append(text(0, y + thick * len(group) / 2 + 4, name, left - 8))
        else:
            parts.append(text(0, y + 10, name))
            y += 14
        for start, length, words, colour in group:
            x, end = (
                left + room * min(max(one / most, 0.0), 1.0) for one in (start, start + length)
            )
            if length:
                end = max(end, x + 1)
                hover = element("title", f"{name}: {words}")
                place = {"x": x, "y": y, "width": end - x, "height": thick - 1}
                parts.append(element("rect", hover, **place, fill=colour))
            parts.append(text(end + 5, y + thick / 2 + 4, words))
            said.append(f"{name}: {words}")
            y += thick
        y += 8
    return figure(title, y, parts, "; ".join(said))


def distribution(histogram: Histogram) -> Markup:
    """Draw the share of each group in each bin."""
    whole = histogram.scale == "whole"
    edges = [edge - 0.5 if whole else edge for edge in histogram.edges]
    shares = {
        group: [100 * count / sum(counts) for count in counts]
        for group, counts in histogram.counts.items()
        if sum(counts)
    }
    top = max((max(share) for share in shares.values()), default=1.0)
    y = Axis(0, top, BOTTOM, TOP + 8)
    x, parts = _frame(y, "% of group", edges[0], edges[-1], histogram.name, histogram.scale)
    parts += _legend({group: LOOKS[group] for group in shares})
    for group, share in shares.items():
        colour, dashes = LOOKS[group]
        filled = [at for at, one in enumerate(share) if one]
        points = [(x.at(edges[filled[0]]), BOTTOM)]
        for at in range(filled[0], filled[-1] + 1):
            points += [(x.at(edge), y.at(share[at])) for edge in edges[at : at + 2]]
        points.append((x.at(edges[filled[-1] + 1]), BOTTOM))
        shade = {"fill": colour, "fill_opacity": "0.15"} if group in (POSITIVE, NEGATIVE) else {}
        parts.append(line(points, colour, **shade, stroke_width="1.8", stroke_dasharray=dashes))
    for at in range(len(edges) - 1):
        found = [
            f"{group} {histogram.counts[group][at]:,} ({share[at]:.1f} %)"
            for group, share in shares.items()
            if share[at]
        ]
        if found:
            low, high = histogram.edges[at], histogram.edges[at + 1] - whole
            span = number(low) if low == high else f"{number(low)} to {number(high)}"
            hover = element("title", f"{histogram.name} {span}: {', '.join(found)}")
            start, end = x.at(edges[at]), x.at(edges[at + 1])
            place = {"x": start, "y": TOP, "width": end - start, "height": BOTTOM - TOP}
            parts.append(element("rect", hover, **place, class_="bin", fill="transparent"))
    title = f"Distribution of {histogram.name}: {', '.join(histogram.counts)}"
    return figure(title, HEIGHT, parts)


def _frame(
    y: Axis,
    y_name: str,
    low: float,
    high: float,
    x_name: str,
    scale: Scale,
) -> tuple[Axis, list[Markup]]:
    """Return the horizontal axis, and both axes drawn with lines, ticks and names."""
    rows = round_ticks(y.low, y.high, 6)
    left = max(width(label) for _, label in rows) + 8
    x = Axis(low, high, left, RIGHT, SCALES[scale])
    parts = [text(0, TOP - 16, y_name)]
    for value, label in rows:
        place = y.at(value)
        parts.append(line([(left, place), (RIGHT, place)], GRID))
        parts.append(text(left - 6, place + 4, label, anchor="end"))
    for tick in ticks_that_fit(x, _options(x, scale)):
        ends = [(x.at(tick[0]), TOP), (x.at(tick[0]), BOTTOM + 4)]
        parts.append(line(ends, GRID))
        parts.append(text(label_place(x, tick), BOTTOM + 17, tick[1], anchor="middle"))
    parts.append(line([(left, BOTTOM), (RIGHT, BOTTOM)], INK))
    parts.append(text((left + RIGHT) / 2, BOTTOM + 33, x_name, RIGHT - left, "middle"))
    return x, parts


def _options(x: Axis, scale: Scale) -> Iterable[list[Tick]]:
    """Yield lists of ticks for an axis, the best first."""
    if scale == "log":
        decades = [10**power for power in range(16)]
        for times in ((1, 2, 5), (1,)):
            yield [(one * time, f"{one * time:,}") for one in decades for time in times]
    for most in (8, 5, 3, 2):
        yield round_ticks(x.low, x.high, most, whole=scale == "whole")


def _legend(looks: dict[str, tuple[str, str]]) -> list[Markup]:
    parts, x = [], 0.0
    for name, (colour, dashes) in looks.items():
        style = {"stroke_width": "1.8", "stroke_dasharray": dashes}
        parts.append(line([(x, 8.0), (x + 24, 8.0)], colour, **style))
        parts.append(text(x + 29, 12, name))
        x += 29 + width(name) + FONT
    return parts
