"""Matplotlib figures as SVG for a page: colours of the page's theme, text as text, unique ids."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hnmine.printable import one_line, printable

# Colours that nothing else has stand for the page's variables, which differ by theme.
INK, MUTED, GRID = "#010101", "#020202", "#030303"
BLUE, ORANGE, GREEN, GREY = "#040404", "#050505", "#060606", "#070707"
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    BLUE: "positive",
    ORANGE: "negative",
    GREEN: "kept",
    GREY: "dropped",
}
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.parse_math": False,
}
WIDTH = 5.6
"""Inches of a figure; the page scales it."""


class Drawing:
    """A figure being drawn; after `drawing`, its SVG.

    Attributes:
        axes: to draw on.
        svg: what to put in the page.
    """

    def __init__(self, width: float, height: float, panels: int) -> None:
        self.figure = Figure(figsize=(width, height), layout="constrained")
        self.axes: list[Axes] = list(self.figure.subplots(1, panels, squeeze=False)[0])
        self.svg = ""


@contextmanager
def drawing(
    name: str, title: str, height: float = 2.6, panels: int = 1, width: float = WIDTH
) -> Iterator[Drawing]:
    """Draw a figure.

    Args:
        name: unique in the page.
        title: what a screen reader says of it; its numbers stand in a table.
        height: in inches.
        panels: side by side.
        width: in inches.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        drawn = Drawing(width, height, panels)
        yield drawn
        file = io.StringIO()
        drawn.figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    drawn.svg = _inline(file.getvalue(), name, title)


def _inline(svg: str, name: str, title: str) -> str:
    """Return an SVG file as an element of a page."""
    svg = printable(svg[svg.index("<svg") :])
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\1{name}-", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box.group() if box else ""} role="img" aria-label="{html.escape(one_line(title))}">'
    )
    return opening + svg[svg.index(">") + 1 :].strip()
