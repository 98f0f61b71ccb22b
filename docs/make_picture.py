"""Render the top of a report as the picture in README, with Chromium, in light colours.

python docs/make_picture.py runs/demo/mined/report.html
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).parent / "report.png"
WIDTH, HEIGHT = 1100, 785
"""CSS pixels: down to the end of the funnel."""
MOST_BYTES = 200_000
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
LIGHT = "--blink-settings=preferredColorScheme=1"


def render(report: Path, picture: Path) -> None:
    """Write the picture.

    Raises:
        SystemExit: Chromium is absent, or the picture is too large for a README.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Install Chromium first: tests/browser/install.sh")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        size = (f"--window-size={WIDTH},{HEIGHT}", "--hide-scrollbars", f"--screenshot={shot}")
        page = report.resolve().as_uri()
        subprocess.run([browser, *FLAGS, LIGHT, *size, page], check=True, capture_output=True)
        if shot.stat().st_size > MOST_BYTES:
            sys.exit(f"The picture has {shot.stat().st_size:,} bytes, more than {MOST_BYTES:,}.")
        shutil.copyfile(shot, picture)


if __name__ == "__main__":
    render(Path(sys.argv[1]), PICTURE)
