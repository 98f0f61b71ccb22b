"""`hnmine skill`: the instructions for coding agents, which are in the package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hnmine.results import Json, Result
from hnmine.runner.atomic import write_text

FILE = "SKILL.md"


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


def skill(folder: Path | None) -> Skill:
    """Return the instructions; with a folder, write them to hnmine/SKILL.md in it."""
    text = (files("hnmine") / FILE).read_text("utf-8")
    if folder is None:
        return Skill(text)
    file = folder / "hnmine" / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, text)
    return Skill(text, file)
