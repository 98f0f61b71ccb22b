"""SVG for the page: escaped elements, text cut to fit, axes with round ticks."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hnmine.printable import one_line

WIDTH = 400
"""Width of every figure in pixels; the page scales it."""

FONT = 12
INK, GRID = "var(--ink)", "var(--grid)"
Tick = tuple[float, str]
"""A value and its label."""


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """Return an element; text is escaped, and `stroke_width` becomes `stroke-width`."""
    pairs = (
        (name.strip("_").replace("_", "-"), _shown(value)) for name, value in attributes.items()
    )
    given = Markup("").join(Markup(' {}="{}"').format(*pair) for pair in pairs)
    inner = Markup("").join(map(_shown, content))
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), given, inner)


def figure(title: str, height: float, parts: Iterable[Markup], description: str = "") -> Markup:
    """Return a figure with its parts, and a title and description for screen readers."""
    return element(
        "svg",
        *([element("desc", description)] if description else []),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height:g}",
        role="img",
        aria_label=title,
        font_family="system-ui, sans-serif",
        font_size=FONT,
        fill=INK,
    )


def text(x: float, y: float, words: str, room: float = WIDTH, anchor: str = "start") -> Markup:
    """Return a line of text, cut to the room; the whole text shows on hover."""
    words = _shown(words)
    cut = words if len(words) <= WIDTH else words[:WIDTH]
    while width(cut) > room:
        cut = cut[:-2] + "…"
    whole = [element("title", words)] if cut != words else []
    return element("text", *whole, cut, x=x, y=y, text_anchor=anchor)


def width(words: str) -> float:
    """Return the approximate width of a text in a wide font, in pixels."""
    return FONT * sum(map(_ems, words))


def line(points: Sequence[tuple[float, float]], colour: str, **attributes: object) -> Markup:
    """Return a line through points."""
    path = " ".join(f"{_shown(x)},{_shown(y)}" for x, y in points)
    return element("polyline", points=path, stroke=colour, **{"fill": "none", **attributes})


@dataclass(frozen=True)
class Axis:
    """Maps a range of values to pixels.

    Attributes:
        low, high: the range; values beyond it are put at its ends.
        start, end: in pixels.
        scale: function of a value that is drawn to scale.
    """

    low: float
    high: float
    start: float
    end: float
    scale: Callable[[float], float] = float

    def at(self, value: float) -> float:
        """Return the position of a value in pixels."""
        # Halves, as the whole span of floats is larger than any float.
        low, high, here = (self.scale(one) / 2 for one in (self.low, self.high, value))
        part = (here - low) / (high - low) if high > low else 0.5
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)


def round_ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[Tick]:
    """Return ticks in a range at multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: start of the range.
        high: its end.
        most: approximate number of steps.
        whole: whether values are whole numbers.
    """
    if whole:  # A product that is rounded to an end of the range is whole then too.
        low, high = float(math.ceil(low)), float(math.floor(high))
    rough = max(high / most - low / most, 1.0 if whole else 0.0)
    largest = max(abs(low), abs(high))
    if rough <= max(1e-300, 1e-12 * largest):  # The range is too narrow for steps.
        return [(low, f"{low:.3g}")] if low <= high else []
    power = math.floor(math.log10(rough))
    size = 10.0**power
    step = next((size * times for times in (1, 2, 5) if size * times >= rough), size * 10)
    step = min(step, 1e308)
    counts = range(math.ceil(low / step), math.floor(high / step) + 1)
    values = [min(max(count * step, low), high) for count in counts]  # Products are rounded.
    if largest >= 1e12 or step < 1e-6:
        digits = math.ceil(math.log10(largest / step)) + 1
        return [(value, f"{value:.{digits}g}") for value in values]
    decimals = max(0, -math.floor(math.log10(step * 1.001)))
    return [(value, f"{value:,.{decimals}f}") for value in values]


def ticks_that_fit(axis: Axis, options: Iterable[list[Tick]]) -> list[Tick]:
    """Return the first option whose labels do not touch; else those labels of one that do not.

    Args:
        axis: horizontal.
        options: lists of ticks, the best first; lists with a single tick come last.
    """
    inside = [[tick for tick in option if axis.low <= tick[0] <= axis.high] for option in options]
    found = sorted(filter(None, inside), key=lambda option: len(option) == 1) or [[]]
    return next((one for one in found if _apart(axis, one) == one), _apart(axis, found[0]))


def label_place(axis: Axis, tick: Tick) -> float:
    """Return the middle of a label: at its tick, but within the figure."""
    half = width(tick[1]) / 2
    return min(max(axis.at(tick[0]), half), WIDTH - half)


def _apart(axis: Axis, ticks: list[Tick]) -> list[Tick]:
    kept, free = [], 0.0
    for tick in ticks:
        place, half = label_place(axis, tick), width(tick[1]) / 2
        if place - half >= free:
            kept.append(tick)
            free = place + half + FONT / 2
    return kept


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{round(value, 1) + 0.0:g}"
    if isinstance(value, Markup):
        return value
    return re.sub("[\ufffe\uffff]", "\ufffd", one_line(str(value)))


def _ems(character: str) -> float:
    if character in "mwMW@%…—←→" or unicodedata.east_asian_width(character) in "WF":
        return 1.0
    return 0.75 if character.isupper() else 0.35 if character in " .,:;il|'" else 0.62
