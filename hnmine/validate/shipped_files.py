"""Recipes and instructions for coding agents, which are files of the package."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hnmine.printable import line_width
from hnmine.recipes import RECIPES, recipe_file
from hnmine.results import Json, Result
from hnmine.runner.atomic import write_text

WIDEST, INDENT = 96, 22
"""Columns of a line, and of a name."""
SKILL = "SKILL.md"


@dataclass(frozen=True, repr=False)
class Recipes(Result):
    """Recipes with what they do, by name."""

    recipes: dict[str, str]

    def as_json(self) -> dict[str, str]:
        """Return what each does, by name."""
        return self.recipes

    def lines(self) -> Iterator[str]:
        """Yield lines for a terminal."""
        width = min(line_width(), WIDEST)
        for name, what in self.recipes.items():
            yield from textwrap.wrap(
                what,
                width,
                initial_indent=f"{name:<{INDENT - 1}} ",
                subsequent_indent=" " * INDENT,
            )
        yield "`hnmine recipes show NAME` shows one; `hnmine run --recipe NAME …` runs it."


@dataclass(frozen=True, repr=False)
class RecipeFile(Result):
    """The file of one recipe."""

    name: str
    text: str

    def lines(self) -> Iterator[str]:
        """Yield the lines of the file."""
        yield from self.text.splitlines()


@dataclass(frozen=True, repr=False)
class Skill(Result):
    """The instructions, and the file that they were written to.

    Attributes:
        text: Markdown that begins with a name and a description in YAML.
        file: None if nothing was written.
    """

    text: str
    file: Path | None = None

    def as_json(self) -> Json:
        """Return the text and the file."""
        return {"file": str(self.file) if self.file else None, "text": self.text}

    def lines(self) -> Iterator[str]:
        """Yield the file that was written, otherwise the lines of the text."""
        if self.file:
            yield str(self.file)
        else:
            yield from self.text.splitlines()


def listed() -> Recipes:
    """Return all recipes, those of other packages too."""
    return Recipes({name: entry.description for name, entry in RECIPES.items()})


def shown(name: str) -> RecipeFile:
    """Return one recipe.

    Raises:
        MissingModel: the package that adds it cannot be imported, or lacks the file.
        UsageError: there is none of that name.
    """
    return RecipeFile(name, recipe_file(name).read_text("utf-8"))


def skill(folder: Path | None) -> Skill:
    """Return the instructions; with a folder, write them to hnmine/SKILL.md in it."""
    text = (files("hnmine") / SKILL).read_text("utf-8")
    if folder is None:
        return Skill(text)
    file = folder / "hnmine" / SKILL
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, text)
    return Skill(text, file)
