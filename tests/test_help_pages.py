"""Help pages on terminals: panels, widths, what they import."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from terminal import on_a_terminal

from hnmine.cli.help_pages import command_line
from hnmine.commands import COMMANDS, SUMMARIES
from hnmine.recipes import RECIPES

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def shown(columns, *arguments, **environment):
    """Return what the command line writes on a terminal of so many columns."""
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", **environment}
    _, said = on_a_terminal(*arguments, columns=columns, environment=environment)
    return said.replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [60, 80, 160])
@pytest.mark.parametrize("arguments", [["--help"], ["filter", "--help-all"], ["recipes", "-h"]])
def test_a_terminal_gets_panels_with_colours_that_fit(columns, arguments):
    coloured = shown(columns, *arguments)
    assert "\x1b[" in coloured and "\\x1b" not in coloured
    lines = COLOUR.sub("", coloured).splitlines()
    assert max(map(len, lines)) <= min(columns, 120)
    assert lines[0].startswith("Usage: ")
    heads = [line for line in lines if line.startswith("╭─ ")]
    assert len(heads) == sum(line.startswith("╰") for line in lines) >= 2
    assert {len(line) for line in lines if line and line[0] in "╭│╰"} == {min(columns, 120)}


def test_a_terminal_without_colours_gets_none():
    assert "\x1b" not in shown(80, "--help", NO_COLOR="1", TERM="dumb")


def test_the_page_of_a_pipe_has_the_same_words():
    environment = {"COLUMNS": "80", "PATH": ""}
    command = [sys.executable, "-m", "hnmine", "mine", "--help"]
    plain = subprocess.run(command, capture_output=True, text=True, env=environment).stdout
    panels = re.sub("[╭╮╰╯│─]", " ", COLOUR.sub("", shown(80, "mine", "--help")))
    assert "╭" not in plain and "\x1b" not in plain
    assert panels.split() == [word for word in re.sub(r"(?m)^(\w.*):$", r"\1", plain).split()]


def test_the_list_of_recipes_fits_a_narrow_terminal():
    lines = shown(60, "recipes").splitlines()
    assert max(map(len, lines)) <= 60
    names = [line.split()[0] for line in lines if line[:1] not in (" ", "`", "")]
    assert names == list(RECIPES)


def test_the_list_of_commands_imports_none_of_them():
    script = (
        "import json, sys; sys.argv = ['hnmine', '--help']\n"
        "from hnmine.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    *page, modules = done.stdout.splitlines()
    loaded = {name.partition(".")[0] for name in json.loads(modules)}
    assert not loaded & {"pydantic", "numpy", "pyarrow", "rich"}
    assert not [name for name in json.loads(modules) if name.startswith("hnmine.commands.")]
    assert all(any(re.match(rf"  {name} ", line) for line in page) for name in list(SUMMARIES)[:-2])


def test_the_flags_of_help_stand_in_one_order():
    for seed in "0", "1", "2", "3":
        environment = {"COLUMNS": "80", "PATH": "", "PYTHONHASHSEED": seed}
        command = [sys.executable, "-m", "hnmine", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert "  -h, --help   Show this message and exit." in done.stdout.splitlines()


def test_an_example_breaks_before_flags_in_lines_that_a_shell_joins():
    line = "hnmine mine runs/index --pairs 'a b' --output runs/candidates"
    assert command_line(line, 80) == line
    shell = command_line(line, 40)
    assert shell.splitlines() == [
        "hnmine mine runs/index --pairs 'a b' \\",
        "    --output runs/candidates",
    ]
    printed = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {shell}"], capture_output=True, text=True
    )
    assert printed.stdout.split("\n")[:5] == ["hnmine", "mine", "runs/index", "--pairs", "a b"]


def test_every_command_is_found_and_named_as_it_is_listed():
    assert [COMMANDS[name].name for name in COMMANDS] == list(SUMMARIES)
    with pytest.raises(KeyError):
        COMMANDS["nothing"]
