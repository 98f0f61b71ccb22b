"""A real browser without a window: Chromium and its driver, from the Debian packages."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from conftest import ENCODER
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import hnmine as api

SLOWEST_SECONDS = 120


class Browser:
    """What the tests ask of the browser."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or "chromium"
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = shutil.which("chromedriver") or "chromedriver"
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.set_page_load_timeout(SLOWEST_SECONDS)
        self.driver.set_script_timeout(SLOWEST_SECONDS)

    def tell(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def open(self, url: str, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        """Load a page in a window of a size, in a colour scheme."""
        self.resize(width, height)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.tell("Emulation.setEmulatedMedia", media="", features=[feature])
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(url)

    def resize(self, width: int, height: int) -> None:
        """Give the window a size in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.tell("Emulation.setDeviceMetricsOverride", **size)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(getattr(Keys, key, key))

    def text(self, selector: str) -> str:
        """Return the text of an element, as it is shown."""
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def faults(self) -> list[str]:
        """Return what axe finds against WCAG 2.1 AA and its own good practice, in words."""
        axe = files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
        # The protocol evaluates what the page's own policy forbids; axe alone needs that.
        self.tell("Runtime.evaluate", expression=axe)
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run().then((found) => done(found.violations))"
        )
        return [
            f"{one['id']}: {node['html'][:200]}: {node['failureSummary']}"
            for one in found
            for node in one["nodes"]
        ]

    def complaints(self) -> list[str]:
        """Return what the console says since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return what was asked of anywhere since the page was opened."""
        asked = (entry["message"] for entry in self.driver.get_log("performance"))
        return [one for one in asked if '"Network.requestWillBeSent"' in one]

    def pdf(self) -> bytes:
        """Print the page on A4."""
        paper = {"paperWidth": 8.27, "paperHeight": 11.69}
        return base64.b64decode(self.tell("Page.printToPDF", **paper)["data"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    browser = Browser()
    yield browser
    browser.driver.quit()


@pytest.fixture(scope="session")
def mined(stdlib: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that a report can show: both sources, what was learned, a shortfall."""
    root = tmp_path_factory.mktemp("browser")
    pairs, corpus = str(stdlib / "pairs.parquet"), str(stdlib / "corpus.parquet")
    api.build_index(corpus=corpus, pairs=pairs, encoder=ENCODER, max_length=64, index=root / "i")
    api.mine(index=root / "i", pairs=pairs, output=root / "c", top_k=8)
    api.filter(
        candidates=root / "c",
        output=root / "mined",
        num_negatives=3,
        depth=5,
        max_uses=2,
    )
    return root / "mined"
