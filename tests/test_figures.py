"""The report's figures, whatever the numbers and the names."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hnmine.directories.scored_view import DROPPED, KEPT, NEGATIVE, POSITIVE
from hnmine.report import figures
from hnmine.report.drawing import WIDTH, Axis, round_ticks, ticks_that_fit, width
from hnmine.report.facts import Facts, Histogram, Hubness, Mix

SVG = "{http://www.w3.org/2000/svg}"
BEFORE = {"start": 0.0, "middle": 0.5, "end": 1.0}
"""Share of a text that stands before its place."""

FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 2**63 - 1)
NAMES = st.text(max_size=300)
HOSTILE = '</title><script>alert("x")</script> & \x1b[31m \u202eevil \ufffe'


def facts(candidates=0, **known):
    empty = {"path": "p", "funnel": [], "shortfall": {}, "score": "s"}
    return Facts(**{**empty, **known}, counts={"candidates": candidates})


def extent(one):
    """Return the left, right, top and bottom of an element that is drawn; None of another."""
    at = {name: float(one.get(name, 0)) for name in ("x", "y", "width", "height", "cx", "cy", "r")}
    if one.tag == f"{SVG}rect":
        return at["x"], at["x"] + at["width"], at["y"], at["y"] + at["height"]
    if one.tag == f"{SVG}circle":
        return at["cx"] - at["r"], at["cx"] + at["r"], at["cy"] - at["r"], at["cy"] + at["r"]
    if one.tag == f"{SVG}text":
        long = width(words(one))
        left = at["x"] - BEFORE[one.get("text-anchor")] * long
        return left, left + long, at["y"], at["y"]
    if one.tag == f"{SVG}polyline":
        points = [tuple(map(float, pair.split(","))) for pair in one.get("points").split()]
        xs, ys = zip(*points, strict=True)
        return min(xs), max(xs), min(ys), max(ys)
    return None


def words(text):
    """Return what a text shows; its title shows when it is pointed at."""
    return (text.text or "") + "".join(child.tail or "" for child in text)


def read(svg):
    """Return the elements of a figure, which are well-formed and lie within it."""
    root = ElementTree.fromstring(str(svg))
    assert root.get("role") == "img" and root.get("aria-label")
    _, _, right, bottom = map(float, root.get("viewBox").split())
    assert right == WIDTH
    drawn = [extent(one) for one in root.iter()]
    for x, to_x, y, to_y in filter(None, drawn):
        assert all(map(math.isfinite, (x, to_x, y, to_y)))
        assert -0.2 <= x <= to_x <= right + 0.2
        assert 0 <= y <= to_y <= bottom
    assert {one.tag for one in root.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "desc", "title", "text", "rect", "circle", "polyline")
    }
    return list(root.iter())


def texts(svg):
    return [words(one) for one in read(svg) if one.tag == f"{SVG}text"]


def titles(svg):
    return [one.text for one in read(svg) if one.tag == f"{SVG}title"]


@st.composite
def histograms(draw):
    """Edges as far apart as floats are, or none apart, with any counts and any name."""
    scale = draw(st.sampled_from(["linear", "whole", "log"]))
    values = {
        "linear": FINITE,
        "whole": st.integers(-(2**63), 2**63).map(float),
        "log": st.floats(1, 1e300),
    }[scale]
    edges = sorted(draw(st.lists(values, min_size=2, max_size=8)))
    several = st.lists(COUNTS, min_size=len(edges) - 1, max_size=len(edges) - 1)
    groups = draw(st.sets(st.sampled_from([POSITIVE, NEGATIVE, KEPT, DROPPED]), min_size=1))
    return Histogram(
        draw(NAMES), edges, {name: draw(several) for name in sorted(groups)}, {}, scale
    )


@given(histograms())
def test_a_distribution_is_well_formed_and_holds_every_count(histogram):
    svg = figures.distribution(histogram)
    counted = Counter()
    for title in titles(svg):
        for group, count in re.findall(r"(positive|negative|kept|dropped) ([\d,]+) \(", title):
            counted[group] += int(count.replace(",", ""))
    if not re.search(r"(positive|negative|kept|dropped) [\d,]+ \(", histogram.name):
        assert counted == Counter({k: sum(v) for k, v in histogram.counts.items() if sum(v)})


@given(st.lists(st.tuples(NAMES, st.integers(-(2**63), 2**63))), COUNTS)
def test_a_funnel_is_well_formed(steps, candidates):
    if steps:
        read(figures.funnel(facts(candidates, funnel=steps)))


@given(st.lists(st.builds(Mix, st.lists(NAMES, max_size=4), COUNTS, COUNTS), max_size=5))
def test_mixes_are_well_formed(mixes):
    svg = figures.mixes(facts(mixes=mixes))
    assert bool(svg) == bool(mixes)
    if mixes:
        read(svg)


@given(st.dictionaries(NAMES, COUNTS, min_size=1, max_size=9))
def test_hubness_is_well_formed(bands):
    read(figures.hubness(facts(hubness=Hubness(1, 1, 0.5, math.nan, bands, []))))


@example(3.2054404431949196e-239, 2.0000000000000004e85, 2, True)
@given(*[st.floats(-1e307, 1e307)] * 2, st.integers(2, 8), st.booleans())
def test_ticks_are_round_and_within_the_range(one, other, most, whole):
    low, high = sorted((one, other))
    ticks = round_ticks(low, high, most, whole=whole)
    assert len(ticks) <= most + 1
    assert len({label for _, label in ticks}) == len(ticks)
    for value, label in ticks:
        assert low <= value <= high
        assert float(label.replace(",", "")) == pytest.approx(value, rel=0.01)
        assert not whole or value == int(value)


@pytest.mark.parametrize(
    ("low", "high", "whole", "labels"),
    [
        (0, 1, False, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-0.37, 0.85, False, ["0.0", "0.5"]),
        (0.5, 3.5, True, ["1", "2", "3"]),
        (4.5, 5.5, True, ["5"]),
        (0, 1_234_567, True, ["0", "500,000", "1,000,000"]),
        (0.0, 0.0, False, ["0"]),
    ],
)
def test_ticks_as_a_person_would_choose_them(low, high, whole, labels):
    assert [label for _, label in round_ticks(low, high, 5, whole=whole)] == labels


@given(FINITE, FINITE, st.floats(0, 300))
def test_labels_do_not_touch(one, other, start):
    axis = Axis(min(one, other), max(one, other), start, 388)
    ticks = ticks_that_fit(axis, [round_ticks(axis.low, axis.high, most) for most in (8, 2)])
    places = [(axis.at(value), width(label)) for value, label in ticks]
    # At the edges of the figure a label is moved, and only into free room.
    for (left, long), (right, other_long) in pairwise(places[1:-1]):
        assert left + long / 2 < right - other_long / 2


def test_no_tick_is_half_a_rank_and_bars_stand_on_their_rank():
    counts = {NEGATIVE: [3, 0, 1]}
    svg = figures.distribution(Histogram("rank", [1.0, 2.0, 3.0, 4.0], counts, {}, "whole"))
    assert {"1", "2", "3"} <= set(texts(svg))
    assert not any("." in text for text in texts(svg))
    assert titles(svg) == ["rank 1: negative 3 (75.0 %)", "rank 3: negative 1 (25.0 %)"]
    elements = read(svg)
    bar = next(one for one in elements if one.tag == f"{SVG}rect")
    middle = float(bar.get("x")) + float(bar.get("width")) / 2
    label = next(one for one in elements if one.tag == f"{SVG}text" and words(one) == "1")
    assert float(label.get("x")) == pytest.approx(middle, abs=0.1)
    wide = Histogram("rank", [1.0, 3.0, 5.0], {NEGATIVE: [1, 1]}, {}, "whole")
    assert titles(figures.distribution(wide))[1] == "rank 3 to 4: negative 1 (50.0 %)"


def test_a_name_is_text_and_is_whole_when_pointed_at():
    name = HOSTILE + " and a long name" * 9
    for svg in (
        figures.funnel(facts(5, funnel=[("candidates", 5), (name, -2), ("chosen", 3)])),
        figures.mixes(facts(mixes=[Mix([name], 5, 3)])),
        figures.distribution(Histogram(name, [0, 1], {KEPT: [1]}, {})),
    ):
        assert "<script" not in svg
        assert not set(svg) & {"\x1b", "\u202e", "\ufffe"}
        cut = next(text for text in texts(svg) if text.endswith("…"))
        assert any(cut[:-1] in title and title.endswith("long name") for title in titles(svg))


def test_numbers_of_bars_have_separators_and_are_read_aloud():
    steps = [("candidates", 1_234_567), ("margin", -234_567), ("chosen", 0)]
    svg = figures.funnel(facts(1_234_567, funnel=steps))
    assert {"1,234,567", "234,567", "0"} <= set(texts(svg))
    spoken = next(one for one in read(svg) if one.tag == f"{SVG}desc").text
    assert spoken == "candidates: 1,234,567; dropped: margin: 234,567; chosen: 0"
    widths = [float(one.get("width")) for one in read(svg) if one.tag == f"{SVG}rect"]
    assert widths[1] / widths[0] == pytest.approx(0.19, abs=0.002)
