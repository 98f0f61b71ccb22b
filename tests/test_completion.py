"""The shell completes every value that a setting, a registry or a recipe lists."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import pytest
from typer.testing import CliRunner

from hnmine.cli import app
from hnmine.commands import COMMANDS
from hnmine.config.setting import flag_of
from hnmine.exports import LAYOUTS
from hnmine.recipes import RECIPES


def completed(line: str) -> list[str]:
    """Return what Typer tells a bash for a line whose last word is being typed."""
    words = line.split(" ")
    shell = {
        "_HNMINE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = CliRunner().invoke(app, [], prog_name="hnmine", env=shell)
    assert done.exit_code == 0, done.output
    return done.output.split()


def listed(annotation: object) -> list[str]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in get_args(annotation) for value in listed(part)]


SETTINGS = [
    (command.name, name, listed(field.annotation) or list(command.registries.get(name, ())))
    for command in COMMANDS.values()
    for name, field in command.settings.model_fields.items()
    if listed(field.annotation) or name in command.registries
]


@pytest.mark.parametrize("command, name, values", SETTINGS)
def test_the_values_of_a_setting_are_offered(command, name, values):
    assert completed(f"hnmine {command} {flag_of(name)} ") == values
    first = values[0]
    assert first in completed(f"hnmine {command} {flag_of(name)} {first[:1]}")
    assert completed(f"hnmine {command} {flag_of(name)} ~") == []


@pytest.mark.parametrize(
    "line, values",
    [
        ("hnmine run --recipe ", list(RECIPES)),
        ("hnmine recipes show ", list(RECIPES)),
        ("hnmine recipes ", ["list", "show"]),
        ("hnmine filter --format ", list(LAYOUTS)),
        ("hnmine judge --device ", ["auto", "cpu", "cuda", "mps"]),
        ("hnmine build-index --stemmer germ", ["german"]),
    ],
)
def test_names_are_offered(line, values):
    found = completed(line)
    assert [value for value in found if value in values] == values


def test_commands_and_flags_are_offered():
    assert completed("hnmine build-") == ["build-index"]
    assert "--top-k" in completed("hnmine mine --top")
