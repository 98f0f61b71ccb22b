"""How hnmine/ is laid out: names, sizes, imports, and what each command says of itself."""

from __future__ import annotations

import ast
import configparser
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT

from hnmine.commands import COMMANDS

PACKAGE = ROOT / "hnmine"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST, SHORTEST = 350, 25
ENTRIES = ("__init__", "__main__")


def line_count(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def dotted(path: Path) -> str:
    """The name that a module is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path) for path in MODULES}


def test_no_name_is_that_of_two_modules():
    """Nor of a module and a folder. A command's entry is named after the command."""
    modules = [path for path in MODULES if path.parent.name != "commands"]
    stems = Counter(path.stem for path in modules if path.stem not in ENTRIES)
    assert not [name for name, count in stems.items() if count > 1]


def test_no_module_is_longer_than_can_be_read_at_once():
    assert not [dotted(path) for path in MODULES if line_count(path) > LONGEST]


def test_no_module_is_too_short_to_stand_alone():
    """An export is a module however short it is, as a command is: users add theirs beside it."""
    modules = [path for path in MODULES if path.parent.name not in ("commands", "exports")]
    short = [path for path in modules if line_count(path) < SHORTEST]
    assert not [dotted(path) for path in short if path.stem not in ENTRIES]


def imports_by_string(code: str, module: str = "") -> list[str]:
    """The names of other modules in strings, and imports of a name that is computed."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = re.fullmatch(r"(hnmine\.[\w.]+)(:\w+)?", node.value)
            # A module may name itself or its folder: to run it in a process, to find its files.
            if (
                name
                and (NAMES - {"hnmine"}) & {name[1], name[1].rpartition(".")[0]}
                and not f"{module}.".startswith(f"{name[1]}.")
            ):
                found.append(node.value)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            literal = node.args and isinstance(node.args[0], ast.Constant)
            if name in ("import_module", "__import__") and not literal:
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('import_module(f"hnmine.{name}")', 1),
        ('import_module("hnmine.judges")', 1),
        ('FUNCTION = "hnmine.judges.judge:scores"', 1),
        ('FUNCTION = "hnmine.judges.judge.scores"', 1),
        ('FILE = "hnmine.yaml"', 0),
        ("importlib.import_module(name)", 1),
        ('"""hnmine.judges is a package."""\nimport_module("torch")', 0),
        ("from hnmine.judges import judge", 0),
    ],
)
def test_an_import_by_a_string_is_seen(code, found):
    assert len(imports_by_string(code)) == found


REGISTRY = "hnmine.registry"
"""The one module that imports by a string: what a registry, or another package, names."""


@pytest.mark.parametrize("path", [path for path in MODULES if dotted(path) != REGISTRY], ids=dotted)
def test_no_import_hides_in_a_string(path):
    found = imports_by_string(path.read_text("utf-8"), dotted(path))
    if path.name == "__init__.py":  # A registry names the modules beside it, never others.
        found = [name for name in found if not name.startswith(f"{dotted(path)}.")]
    assert not found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_how_to_call_it_and_what_each_setting_is(name):
    command = COMMANDS[name]
    assert command.name == name
    assert command.summary
    assert command.example.startswith(f"hnmine {name} ")
    assert not [
        key for key, field in command.settings.model_fields.items() if not field.description
    ]


def test_every_module_and_folder_is_in_a_layer():
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    listed = re.findall(r"hnmine\.\w+", contracts["importlinter:contract:layers"]["layers"])
    there = {".".join(name.split(".")[:2]) for name in NAMES} - {"hnmine"}
    assert set(listed) == there
    assert len(listed) == len(set(listed))
