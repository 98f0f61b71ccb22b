from __future__ import annotations

import csv
import json
from itertools import pairwise

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from hnmine.config import ReportSettings
from hnmine.report.reporting import report

SECTIONS = {
    "funnel", "false", "distributions", "sources", "hubness", "shortcuts", "examples", "settings"
}  # fmt: skip


@pytest.fixture(scope="module")
def page(mined):
    return report(ReportSettings.parse({"mined": mined})).page.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_it_is_accessible_in_both_schemes_and_at_both_widths(browser, page, scheme, width):
    browser.open(page, width, scheme=scheme)
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.faults() == []


@pytest.mark.parametrize("width", [320, 700, 1200])
def test_it_is_never_wider_than_the_window(browser, page, width):
    browser.open(page, width)
    assert browser.run("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [400, 1200])
def test_the_words_of_figures_are_inside_and_large_enough(browser, page, width):
    browser.open(page, width)
    texts = browser.run(
        "return [...document.querySelectorAll('figure text')].map((one) => {"
        "const box = one.getBBox(), view = one.ownerSVGElement.viewBox.baseVal;"
        "const inside = box.x >= 0 && box.x + box.width <= view.width"
        " && box.y >= 0 && box.y + box.height <= view.height;"
        "const scale = one.ownerSVGElement.getBoundingClientRect().width / view.width;"
        "return [one.textContent, inside, scale * parseFloat(getComputedStyle(one).fontSize)];"
        "})"
    )
    assert len(texts) > 50
    assert [text for text, inside, _ in texts if not inside] == []
    assert min(size for _, _, size in texts) >= 10


def test_it_asks_nothing_of_any_network_and_the_console_is_silent(browser, page):
    browser.open(page)
    asked = browser.requests()
    assert len(asked) == 1 and page in asked[0]
    assert browser.complaints() == []


def test_the_keyboard_reaches_everything(browser, page):
    browser.open(page)
    browser.press("TAB")
    assert browser.run("return document.activeElement.textContent") == "Skip to the content"
    left = browser.run("return document.activeElement.getBoundingClientRect().left")
    assert left >= 0, "it is shown where it has the focus"
    seen = set()
    for _ in range(200):
        browser.press("TAB")
        one, focus = browser.run(
            "const one = document.activeElement;"
            "return [one.getAttribute('href') ?? one.getAttribute('aria-label')"
            " ?? one.textContent, getComputedStyle(one).outlineStyle]"
        )
        if browser.run("return document.activeElement === document.body"):
            break
        assert focus == "solid", f"{one} has the focus and does not show it"
        seen.add(one)
    assert {f"#{name}" for name in SECTIONS} <= seen
    assert "Mark as false" in seen
    assert {"Funnel in numbers", "Sources in numbers", "Settings of filter"} <= seen

    browser.open(page)
    link = browser.driver.find_element(By.CSS_SELECTOR, 'nav a[href="#examples"]')
    link.send_keys("\n")
    top = browser.run("return document.getElementById('examples').getBoundingClientRect().top")
    assert -5 <= top <= 200
    summary = browser.driver.find_element(By.CSS_SELECTOR, "#settings ~ details > summary")
    summary.send_keys("\n")
    assert browser.run("return document.querySelector('#settings ~ details').open")


def test_a_screen_reader_gets_headings_in_order_and_figures_with_names(browser, page):
    browser.open(page)
    nodes = browser.tell("Accessibility.getFullAXTree")["nodes"]
    said = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and "role" in node
    ]
    levels = browser.run(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].map((one) => +one.tagName[1])"
    )
    assert levels.count(1) == 1
    assert all(late - early <= 1 for early, late in pairwise(levels))
    # Chromium's name of the role `img` has changed.
    figures = [name for role, name in said if role in ("image", "img")]
    assert len(figures) == browser.run("return document.querySelectorAll('svg').length") >= 9
    assert all(figures)
    assert len(set(figures)) == len(figures)
    assert {"Sections"} == {name for role, name in said if role == "navigation"}
    assert "main" in {role for role, _ in said}


def test_it_prints(browser, page):
    browser.open(page, scheme="dark")
    pages = browser.pdf().count(b"/Type /Page\n")
    assert 3 <= pages <= 20
    browser.tell("Emulation.setEmulatedMedia", media="print")
    style = "return getComputedStyle(document.body)"
    assert browser.run(f"{style}.color") == "rgb(0, 0, 0)", "black, whatever the screen's scheme"
    assert browser.run(f"{style}.backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.querySelector('nav')).display") == "none"


class TestExamples:
    def shown(self, browser):
        return browser.run(
            "return [...document.querySelectorAll('#list article:not([hidden])')]"
            ".map((one) => ({...one.dataset, text: one.textContent}))"
        )

    def choose(self, browser, **values):
        """Set fields of the form as a person does, and tell the page."""
        for name, value in values.items():
            browser.run(
                "const one = document.getElementById('find').elements[arguments[0]];"
                "one.value = arguments[1];"
                "one.dispatchEvent(new Event('input', {bubbles: true}));",
                name,
                value,
            )

    def all(self, browser):
        while browser.run("return !document.getElementById('more').hidden"):
            browser.run("document.getElementById('more').click()")
        return self.shown(browser)

    def test_they_are_searched_filtered_and_sorted(self, browser, page):
        browser.open(page)
        assert browser.text("#found").startswith("8 of ")
        every = self.all(browser)
        assert every[0]["reason"] == "hard negative"
        reason = every[-1]["reason"]
        self.choose(browser, reason=reason)
        found = self.all(browser)
        assert {one["reason"] for one in found} == {reason}
        assert len(found) == sum(one["reason"] == reason for one in every)
        self.choose(browser, reason="", source="bm25")
        assert all("bm25" in one["sources"] for one in self.all(browser))
        self.choose(browser, source="", doubt="high")
        assert all(float(one["relevance"]) > 0 for one in self.all(browser))
        self.choose(browser, doubt="", sort="margin")
        margins = [float(one["margin"]) for one in self.all(browser)]
        assert margins == sorted(margins) and len(margins) == len(every)
        word = every[0]["text"].split()[0]
        self.choose(browser, sort="listed", words=word)
        assert all(word.lower() in one["text"].lower() for one in self.all(browser))
        self.choose(browser, words="no such words anywhere")
        assert self.shown(browser) == []
        assert browser.text("#found").startswith("0 of 0")

    def test_marks_are_saved_as_a_sheet(self, browser, page, tmp_path):
        browser.open(page)
        browser.tell("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        one, other = self.shown(browser)[:2]
        for n, value in ((1, 1), (2, 0), (3, 1), (3, 1)):  # The last click takes a mark back.
            button = f"#list article:nth-of-type({n}) .mark button[value='{value}']"
            browser.driver.find_element(By.CSS_SELECTOR, button).send_keys("\n")
        assert browser.text("#marks p") == "2 marks"
        assert browser.faults() == []
        browser.driver.find_element(By.CSS_SELECTOR, "#marks button").send_keys("\n")
        sheet = tmp_path / "mined-marks.csv"
        WebDriverWait(browser.driver, 60).until(lambda _: sheet.exists() and sheet.read_text())
        rows = list(csv.DictReader(sheet.open(encoding="utf-8")))
        wanted = [json.loads(row["row"]).split(",")[:2] for row in (one, other)]
        assert [[f'"{row[name]}"' for name in ("query_id", "doc_id")] for row in rows] == wanted
        assert [(row["verdict"], row["judge"]) for row in rows] == [
            ("1", "person"),
            ("0", "person"),
        ]
        assert browser.complaints() == []

    def test_without_scripts_all_of_them_are_there(self, browser, page):
        browser.tell("Emulation.setScriptExecutionDisabled", value=True)
        try:
            browser.open(page)
            articles = browser.driver.find_elements(By.CSS_SELECTOR, "#list article")
            assert len(articles) > 8
            assert all(one.is_displayed() for one in articles)
            assert not browser.driver.find_element(By.ID, "find").is_displayed()
        finally:
            browser.tell("Emulation.setScriptExecutionDisabled", value=False)
