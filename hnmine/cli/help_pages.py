"""The help of a command: a first page of common options, and a page of all, in groups."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from hnmine.cli.failures import errors_explained
from hnmine.commands import COMMAND_GROUPS, COMMANDS, Command
from hnmine.config.setting import GROUPS, About, about, flag_of, why_gone
from hnmine.errors import UsageError
from hnmine.registry import Registry

ALL = "hnmine.help_all"
"""Key of a context's `meta`."""

WIDEST_FLAG = 24
"""Columns for a flag and its value; the help of a longer one begins on the next line."""

OF_ALL_COMMANDS = {
    "paths": About("Inputs", common=True),
    "recipe": About("Inputs", common=True),
    "config_file": About("Inputs", common=True),
    "as_json": About("Output"),
    "dry_run": About("Advanced", common=True),
    "debug": About("Advanced"),
    "help": About("Advanced"),
    "help_all": About("Advanced", common=True),
}


class GroupedCommand(TyperCommand):
    """A command whose help shows its options in groups."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line; a flag of an earlier version names its successor."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            gone = why_gone(str(getattr(error, "option_name", "")).removeprefix("--"))
            if not gone:
                raise
            with errors_explained(debug=False):
                fix = f"`hnmine {self.name} --help-all` lists all options."
                raise UsageError(f"--{gone}", fix=fix) from None

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the common options, or all of them after `--help-all`."""
        everything = ctx.meta.get(ALL, False)
        parameters = {parameter.name: parameter for parameter in self.get_params(ctx)}
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        command = COMMANDS[self.name or ""]
        for name, declared in _declarations(command):
            if name in parameters and (everything or declared.common):
                groups[declared.group].append(_row(parameters, name, everything))
        more = {heading: _described(names) for heading, names in command.listed.items()}
        lefts = [left for rows in (*groups.values(), *more.values()) for left, _ in rows]
        width = max(len(left) for left in lefts if len(left) <= WIDEST_FLAG)
        formatter.write_paragraph()
        for group, rows in {**groups, **more, "Added by packages": list(_added(command))}.items():
            if rows:
                formatter.write_heading(group)
                with formatter.indentation():
                    _write_rows(formatter, rows, width)


class GroupedCommands(TyperGroup):
    """The list of all commands, in groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under the headings of `commands.GROUPS`."""
        listed = [name for names in COMMAND_GROUPS.values() for name in names]
        width = max(map(len, listed))
        for heading, names in COMMAND_GROUPS.items():
            rows = [(name.ljust(width), COMMANDS[name].summary) for name in names]
            with formatter.section(heading):
                _write_rows(formatter, rows, width)


def _write_rows(formatter: Any, rows: Iterable[tuple[str, str]], width: int) -> None:
    """Write names and what they mean in two columns; flags with hyphens stay whole."""
    left, gap = formatter.current_indent, 2
    room = max(formatter.width - left - width - gap, 10)
    for name, text in rows:
        lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
        first = f"{name.ljust(width + gap)}{lines.pop(0)}" if len(name) <= width else name
        for n, line in enumerate([first, *lines]):
            formatter.write(f"{'':{left if n == 0 else left + width + gap}}{line}".rstrip() + "\n")


def _described(names: Registry) -> list[tuple[str, str]]:
    """Return the names of hnmine's own in a registry, and what they are."""
    return [(name, entry.description) for name, entry in names.own.items()]


def show_all(ctx: typer.Context, wanted: bool) -> None:
    """Print the help with all options, and end."""
    if wanted:
        ctx.meta[ALL] = True
        typer.echo(ctx.get_help())
        raise typer.Exit


def _declarations(command: Command) -> Iterator[tuple[str, About]]:
    """Yield the settings: arguments first, then a command's own, then those that it inherits."""
    fields = command.settings.model_fields
    own = [name for kind in command.settings.mro() for name in inspect.get_annotations(kind)]
    yield "paths", OF_ALL_COMMANDS["paths"]
    for name in dict.fromkeys((*command.arguments, *own, *fields)):
        if name in fields:
            yield name, about(fields[name])
    yield from list(OF_ALL_COMMANDS.items())[1:]


def _added(command: Command) -> Iterator[tuple[str, str]]:
    """Yield the names that other packages add for settings, as flags, and what they are."""
    for name, registry in command.registries.items():
        with suppress(UsageError):  # Help is there even if a package uses a name that is taken.
            for value, entry in registry.items():
                if entry.package:
                    yield f"{flag_of(name)} {value}", f"{entry.description} ({entry.origin})"


def _row(parameters: dict[Any, Any], name: str, everything: bool) -> tuple[str, str]:
    """Return how an option is given, and its help."""
    option = parameters[name]
    flag = option.opts[0]
    if option.param_type_name == "argument":
        flag = f"{option.metavar}..."
    elif option.secondary_opts:
        off = (option.help or "").endswith("[default: no]")
        flag = flag if off and not everything else f"--[no-]{flag.removeprefix('--')}"
    elif option.metavar:
        flag = f"{flag} {option.metavar}"
    if f"{name}_argument" in parameters:
        flag = f"{name.upper()}, {flag}" if everything else name.upper()
    text = option.help or ""
    return flag, text if everything else re.sub(r" \[default: (none|no)\]$", "", text)
