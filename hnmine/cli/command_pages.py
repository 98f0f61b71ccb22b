"""The help of a command: a first page of common options, and a page of all, in groups."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperCommand

from hnmine.cli.failures import errors_explained, wrong_usage_explained
from hnmine.cli.help_pages import Rows, command_line, flags_of, paragraph, write_page
from hnmine.commands import COMMANDS
from hnmine.commands.command import Command
from hnmine.config.setting import GROUPS, About, about, flag_of, why_gone
from hnmine.errors import UsageError
from hnmine.registry import Registry

ALL = "hnmine.help_all"
"""Key of a context's `meta`."""

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
        flags = [flag for parameter in self.get_params(ctx) for flag in parameter.opts]
        for word in args:
            name = word.partition("=")[0]
            if name.startswith("--") and name not in flags and (gone := why_gone(name[2:])):
                with errors_explained(debug=False):
                    fix = f"`hnmine {self.name} --help-all` lists all options."
                    raise UsageError(f"--{gone}", fix=fix)
        with wrong_usage_explained(f"hnmine {self.name} --help-all", flags):
            return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the common options, or all of them after `--help-all`."""
        everything = ctx.meta.get(ALL, False)
        parameters = {parameter.name: parameter for parameter in self.get_params(ctx)}
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        command = COMMANDS[self.name or ""]
        for name, declared in _declarations(command):
            if name in parameters and (everything or declared.common):
                groups[declared.group].append(_row(parameters, name, everything))
        more = {heading: _described(names) for heading, names in command.listed.items()}
        rows = {**groups, **more, "Added by packages": list(_added(command))}
        width = formatter.width - 2
        text = [
            paragraph(command.summary, width),
            command_line(f"Example: {command.example}", width),
            command.more_help.removeprefix("\b\n"),
        ]
        sections = {heading: found for heading, found in rows.items() if found}
        write_page(ctx, formatter, "\n\n".join(text).rstrip(), sections)


def _described(names: Registry) -> Rows:
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
    shown = flags_of(option)
    if option.param_type_name == "argument":
        shown = f"{option.metavar}..."
    elif option.secondary_opts:
        off = (option.help or "").endswith("[default: no]")
        shown = shown if off and not everything else f"--[no-]{shown.removeprefix('--')}"
    elif option.metavar:
        shown = f"{shown} {option.metavar}"
    if f"{name}_argument" in parameters:
        shown = f"{name.upper()}, {shown}" if everything else name.upper()
    text = option.help or ""
    return shown, text if everything else re.sub(r" \[default: (none|no)\]$", "", text)
