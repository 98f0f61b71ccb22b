from __future__ import annotations

from pathlib import Path

import pytest

import hnmine as api
from hnmine.report.comparing import PAGE


@pytest.fixture(scope="module")
def page(mined, tmp_path_factory):
    root = tmp_path_factory.mktemp("compared")
    api.filter_negatives(candidates=mined.parent / "c", output=root / "other", num_negatives=2)
    found = api.compare([mined, root / "other"], output=root / "compared")
    return (Path(found.output) / PAGE).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_it_is_accessible_and_fits_in_both_schemes_and_at_both_widths(browser, page, scheme, width):
    browser.open(page, width, scheme=scheme)
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.faults() == []


def test_it_asks_nothing_of_any_network_and_the_console_is_silent(browser, page):
    browser.open(page)
    assert len(browser.requests()) == 1
    assert browser.complaints() == []


def test_the_report_has_its_table_as_an_accessible_section(browser, mined, page, tmp_path):
    compared = Path(page.removeprefix("file://")).parent
    found = api.report(mined, compare=compared, output=tmp_path / "report.html")
    browser.open(found.page.as_uri(), 1200)
    assert "also in B" in browser.text("section[aria-labelledby=compared] table")
    assert browser.faults() == []
