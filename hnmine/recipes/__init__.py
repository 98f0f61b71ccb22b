"""Published ways of mining, a YAML file each: `hnmine run --config NAME`."""

from __future__ import annotations

from pathlib import Path

from hnmine.errors import MissingModel
from hnmine.registry import Entry, Registry

WHAT = "# What: "
"""Begins the line of a recipe's header that describes it."""


def _own() -> dict[str, Entry]:
    entries = {}
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        lines = path.read_text("utf-8").splitlines()
        what = next((line for line in lines if line.startswith(WHAT)), "")
        entries[path.stem] = Entry(what.removeprefix(WHAT), __name__)
    return entries


RECIPES = Registry("hnmine.recipes", _own())
"""The recipe NAME is the file NAME.yaml of the package that its entry names."""


def recipe_file(name: str) -> Path:
    """Return the file of a recipe.

    Raises:
        KeyError: there is no recipe of that name.
        MissingModel: the package that adds it cannot be imported, or lacks the file.
    """
    entry = RECIPES[name]
    for folder in getattr(entry.load(), "__path__", ()):
        if (file := Path(folder, f"{name}.yaml")).is_file():
            return file
    raise MissingModel(
        f"The package {entry.origin} has no recipe {name}.",
        why=f"{entry.target} holds no file {name}.yaml.",
        fix="Update the package, or copy the recipe and pass its path.",
    )
