"""Prepare a release: version, changelog, packages and their checks. Nothing is uploaded.

python release/prepare.py 0.2.0 --repository https://…/hnmine
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION_LINES = {"hnmine/__init__.py": '__version__ = "{}"', "CITATION.cff": "version: {}"}
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


def main() -> None:
    """Write the version and the date, build and check; print what is left to do."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("version")
    parser.add_argument("--repository", required=True, help="address that links will lead to")
    given = parser.parse_args()
    if not VERSION.fullmatch(given.version):
        parser.error(f"{given.version!r} is no version such as 0.2.0 or 0.2.0rc1")
    if not given.repository.startswith("https://"):
        parser.error("--repository: give an address that begins with https://")
    status = ["git", "status", "--porcelain"]
    if subprocess.run(status, cwd=ROOT, check=True, capture_output=True).stdout:
        parser.error("commit your changes first: a release is what a commit holds")
    set_version(ROOT, given.version)
    set_date(ROOT / "CHANGELOG.md", given.version, datetime.datetime.now().date())
    environment = {**os.environ, "HNMINE_REPOSITORY": given.repository}
    check = [sys.executable, ROOT / "release" / "test_wheel.py"]
    subprocess.run(check, env=environment, check=True)
    print(
        f"dist/ holds {given.version}. Look at it, then:\n"
        f"  git commit -am 'release: {given.version}' && git tag v{given.version}\n"
        "  twine upload dist/*"
    )


def set_version(root: Path, version: str) -> None:
    """Write the version of the package, and the one to cite."""
    for name, line in VERSION_LINES.items():
        old = re.escape(line).replace(r"\{\}", ".*")
        text = (root / name).read_text("utf-8")
        changed = re.sub(rf"(?m)^{old}$", line.format(version), text)
        (root / name).write_text(changed, "utf-8")


def set_date(changelog: Path, version: str, day: datetime.date) -> None:
    """Date the section that is not released; refuse a changelog without it."""
    text = changelog.read_text("utf-8")
    head = re.compile(r"(?m)^## \S+, not released$")
    if not head.search(text):
        sys.exit("CHANGELOG.md: add a section `## VERSION, not released` that says what changed")
    changelog.write_text(head.sub(f"## {version}, {day.isoformat()}", text, count=1), "utf-8")


if __name__ == "__main__":
    main()
