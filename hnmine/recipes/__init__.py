"""Published ways of mining, a YAML file each: `hnmine run --recipe NAME`."""

from __future__ import annotations

import re
from pathlib import Path

from hnmine.errors import MissingModel, UsageError, did_you_mean
from hnmine.registry import Entry, Registry

WHAT = re.compile(r"^# What: (.*(?:\n#  .*)*)", re.MULTILINE)
"""What a recipe's header says that it does; further lines are indented."""


def _own() -> dict[str, Entry]:
    entries = {}
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        found = WHAT.search(path.read_text("utf-8"))
        what = " ".join(found[1].replace("\n#", " ").split()) if found else ""
        entries[path.stem] = Entry(what, __name__)
    return entries


RECIPES = Registry("hnmine.recipes", _own())
"""The recipe NAME is the file NAME.yaml of the package that its entry names."""


def recipe_file(name: str) -> Path:
    """Return the file of a recipe.

    Raises:
        UsageError: there is no recipe of that name.
        MissingModel: the package that adds it cannot be imported, or lacks the file.
    """
    if name not in RECIPES:
        raise UsageError(
            f"There is no recipe {name!r}.{did_you_mean(Path(name).stem, RECIPES, 3)}",
            fix="`hnmine recipes` lists them. A file of your own is for --config.",
        )
    entry = RECIPES[name]
    for folder in getattr(entry.load(), "__path__", ()):
        if (file := Path(folder, f"{name}.yaml")).is_file():
            return file
    raise MissingModel(
        f"The package {entry.origin} has no recipe {name}.",
        why=f"{entry.target} holds no file {name}.yaml.",
        fix="Update the package, or copy the recipe and pass its path.",
    )
