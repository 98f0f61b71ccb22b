from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager

import pytest
from conftest import hnmine
from held import HANG
from selenium.webdriver.support.ui import WebDriverWait

from hnmine.sheets.sheet import Sheet

ROWS = 6


@contextmanager
def reviewing(browser, mined, sheet, **window):
    """Start `hnmine review`, open its page and wait until there is something to judge."""
    command = [sys.executable, "-m", "hnmine", "review", str(mined), "--sheet", str(sheet)]
    command += ["--doubtful", "4", "--even", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline()
        url = re.search(r"http\S+", said)
        assert url, said + process.stderr.read()
        browser.open(url[0], **window)
        until(browser, "place", f"of {ROWS}")
        yield process
    finally:
        process.kill()
        process.communicate()


def until(browser, element, text):
    """Wait until an element says something."""
    WebDriverWait(browser.driver, 60).until(lambda _: text in browser.text(f"#{element}"))


def focused(browser):
    return browser.run("return document.activeElement.id")


def test_verdicts_given_by_the_keyboard_are_in_the_sheet(browser, mined, tmp_path):
    sheet = tmp_path / "s.csv"
    with reviewing(browser, mined, sheet) as process:
        assert focused(browser) == "query", "where a screen reader begins to read"
        first = browser.text("#document")
        for place, (key, saved) in enumerate(
            [("y", "Saved: relevant"), ("n", "Saved: not relevant"), ("Y", "Saved: relevant")]
        ):
            browser.press(key)
            until(browser, "place", f"{place + 2} of {ROWS}, {place + 1} judged")
            assert saved in browser.text("#said")
            assert focused(browser) == "query"
        assert Sheet.open(sheet).verdicts[:4] == [1, 0, 1, None]

        browser.press("u")
        until(browser, "place", f"3 of {ROWS}, 2 judged")
        browser.press("s")
        until(browser, "place", "4 of")
        browser.press("ARROW_LEFT", "ARROW_LEFT", "ARROW_LEFT")
        until(browser, "place", "1 of")
        assert browser.text("#document") == first
        assert browser.run("return document.getElementById('yes').ariaPressed") == "true"
        browser.press("n")
        until(browser, "place", "3 of")  # The next without a verdict.
        assert Sheet.open(sheet).verdicts == [0, 0, None, None, None, None]

        browser.run("document.getElementById('keys').click()")
        browser.press("y")
        browser.run("document.getElementById('keys').click()")
        assert Sheet.open(sheet).verdicts == [0, 0, None, None, None, None], "keys were turned off"

        for place in range(3, ROWS + 1):
            until(browser, "place", f"{place} of")
            browser.press("n")
        until(browser, "said", "All are judged")
        browser.run("document.getElementById('done').focus()")
        browser.press("ENTER")
        until(browser, "ended", f"{ROWS} of {ROWS} are judged")
        out, errors = process.communicate(timeout=HANG)
    assert process.returncode == 0, errors
    assert "hnmine filter" in out
    assert Sheet.open(sheet).verdicts == [0.0] * ROWS
    again = hnmine("audit", "--mined", mined, "--verdicts", sheet)
    assert again.returncode == 0, again.stderr


def test_it_goes_on_where_it_was_and_says_when_hnmine_is_gone(browser, mined, tmp_path):
    sheet = tmp_path / "s.parquet"
    with reviewing(browser, mined, sheet):
        browser.press("n")
        until(browser, "place", "2 of")
    browser.press("y")
    until(browser, "error", "the review has ended")
    assert Sheet.open(sheet).verdicts[:2] == [0, None]
    with reviewing(browser, mined, sheet):
        assert browser.text("#place") == f"2 of {ROWS}, 1 judged"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_it_is_accessible_and_silent(browser, mined, tmp_path, scheme, width):
    with reviewing(browser, mined, tmp_path / "s.csv", width=width, scheme=scheme):
        assert browser.run("return document.documentElement.scrollWidth") <= width
        browser.run("document.querySelector('details').open = true")
        assert browser.faults() == []
        for place in range(2, ROWS + 1):
            browser.press("n")
            until(browser, "place", f"{place} of")
        assert browser.faults() == []
        assert browser.complaints() == []


def test_the_last_word_of_a_text_is_not_behind_the_buttons(browser, mined, tmp_path):
    with reviewing(browser, mined, tmp_path / "s.csv", width=360, height=640):
        browser.run(
            "document.querySelector('details').open = true;"
            "window.scrollTo(0, document.documentElement.scrollHeight)"
        )
        bottom, top = browser.run(
            "return [document.querySelector('main').getBoundingClientRect().bottom,"
            "document.querySelector('nav').getBoundingClientRect().top]"
        )
        assert bottom <= top
