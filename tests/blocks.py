"""The code blocks of Markdown pages, and how their commands are run."""

from __future__ import annotations

import io
import re
import runpy
import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from conftest import CROSS_ENCODER, ENCODER, ROOT

from hnmine.cli import app
from hnmine.cli.flags import given_settings
from hnmine.commands import COMMANDS

SMALL = {
    "sentence-transformers/all-MiniLM-L6-v2": ENCODER,
    "intfloat/multilingual-e5-small": ENCODER,
    "cross-encoder/ms-marco-MiniLM-L6-v2": CROSS_ENCODER,
}
"""Models that pages name, by what stands for them here: the same or of the same kind, offline."""

NOT_PAGES = {".git", ".venv", "runs", "build", "node_modules"}


@dataclass(frozen=True)
class Block:
    """A code block: the page, the line that it begins on, its language and what it holds."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every Markdown page of the project."""
    return [
        path
        for path in sorted(ROOT.rglob("*.md"))
        if not NOT_PAGES & set(path.relative_to(ROOT).parts) and not path.is_symlink()
    ]


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in order."""
    text = page.read_text("utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(page, text.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in found]


def commands(block: Block) -> list[list[str]]:
    """The command lines of a block in no language, split as a shell would."""
    lines = block.text.replace("\\\n", " ").splitlines() if block.language in ("", "bash") else []
    began = re.compile(r"(hnmine|python|pip|make|export|hf) ")
    return [shlex.split(line, comments=True) for line in lines if began.match(line)]


def parsed(arguments: list[str]) -> tuple[str, dict[str, object]]:
    """Parse what follows `hnmine` as the command line does: the command, and what is given."""
    name, *rest = arguments
    command = typer.main.get_command(app).commands[name]
    given = command.make_context(name, list(rest)).params
    return name, given_settings(COMMANDS[name], given)


def small(text: str) -> str:
    """Put small models in the place of those that a page names."""
    for name, stands_in in SMALL.items():
        text = text.replace(name, stands_in)
    return text


def run(arguments: list[str]) -> str:
    """Run `hnmine …` of a page in this process, or a script of it; models are small ones.

    Returns:
        What a script prints.
    """
    program, *rest = map(small, arguments)
    if program == "hnmine":
        ended = app(rest, standalone_mode=False)
        assert ended in (None, 0), f"{shlex.join(arguments)} ended with {ended}"
        return ""
    assert program == "python" and rest[0].startswith("examples/"), arguments
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr(sys, "argv", rest)
        runpy.run_path(str(ROOT / rest[0]), run_name="__main__")
    return printed.getvalue()
