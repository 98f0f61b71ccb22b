"""Copy the pages, and the files that they link to, into a folder for `make docs-site`.

python docs/make_site.py build/pages

Pages link to each other and to source files as in the repository. A site needs all of these in one
folder, at the same places, so that no link changes. A folder without README gets a list of files.
"""

from __future__ import annotations

import re
import shutil
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACES = (
    "*.md",
    "hnmine/SKILL.md",
    "docs/*.md",
    "docs/*.png",
    "benchmarks/**/*.md",
    "examples/**/*.md",
)
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)")
CODE = re.compile(r"^```.*?^```$|`[^`]*`", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Return the files of the site that are not only linked to."""
    return sorted(path for place in PLACES for path in ROOT.glob(place))


def copy_pages(site: Path) -> None:
    """Write the folder.

    Raises:
        FileNotFoundError: a page links to what does not exist.
    """
    shutil.rmtree(site, ignore_errors=True)
    for page in pages():
        target = _target(site, page)
        if page.suffix != ".md":
            shutil.copyfile(page, target)
            continue
        text = page.read_text("utf-8")
        for link in LINK.findall(CODE.sub("", text)):
            _copy_linked(site, (page.parent / link).resolve())
        target.write_text(LINK.sub(partial(_link, page.parent), text), "utf-8")


def _target(site: Path, file: Path) -> Path:
    target = site / file.relative_to(ROOT)
    # Names that begin with a dot are left out of sites.
    target = target.with_name(target.name.removeprefix("."))
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _copy_linked(site: Path, file: Path) -> None:
    if file.is_dir():
        if not (file / "README.md").exists():
            names = sorted(path.name for path in file.iterdir() if path.is_file())
            for name in names:
                shutil.copyfile(file / name, _target(site, file / name))
            lines = [f"# {file.relative_to(ROOT)}", "", *(f"- [{name}]({name})" for name in names)]
            _target(site, file / "README.md").write_text("\n".join(lines) + "\n", "utf-8")
    elif file.suffix != ".md":
        shutil.copyfile(file, _target(site, file))


def _link(folder: Path, found: re.Match[str]) -> str:
    """Write a link as it is in the site."""
    link = found[1]
    if (folder / link).is_dir():
        return f"{link.rstrip('/')}/README.md"
    before, slash, name = link.rpartition("/")
    return f"{before}{slash}{name.removeprefix('.')}"


if __name__ == "__main__":
    copy_pages(Path(sys.argv[1]).resolve())
