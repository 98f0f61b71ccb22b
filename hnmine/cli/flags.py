"""Settings as options and arguments of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from hnmine.cli.choices import BY_NAME, choices, completion
from hnmine.cli.command_pages import show_all
from hnmine.commands.command import Command
from hnmine.config.setting import about, flag_of
from hnmine.errors import UsageError

METAVARS: dict[object, str] = {Path: "PATH", str: "TEXT", int: "N", float: "NUMBER"}
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="YAML file of settings; the command line wins. [default: none]",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME",
        help="Recipe, such as bge; --config and the command line win. [default: none]",
        autocompletion=completion(BY_NAME["recipe"]),
    ),
]
Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Input files; their columns tell what each one is."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON. [default: no]")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only estimate tasks, memory, disk and time. [default: no]"),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error. [default: no]")
]
HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all",
        callback=show_all,
        is_eager=True,
        help="Show all options and exit. [default: no]",
    ),
]


def parameters(command: Command) -> Iterator[inspect.Parameter]:
    """Yield a command's arguments, the flags of its settings, and the flags of all commands."""
    fields = command.settings.model_fields
    if command.takes_paths:
        yield _parameter("paths", None, Paths)
    for name in command.arguments:
        shown = typer.Argument(
            metavar=name.upper(),
            help=_help(fields[name]),
            autocompletion=completion(choices(command, name)),
        )
        yield _parameter(_argument(name), None, Annotated[_kind(fields[name]) | None, shown])
    for name in fields:
        option = typer.Option(
            _declared(name, fields[name]),
            metavar=about(fields[name]).value or _metavar(fields[name].annotation),
            help=_help(fields[name]),
            autocompletion=completion(choices(command, name)),
        )
        # None means not given, so that the file or the default counts.
        yield _parameter(name, None, Annotated[_kind(fields[name]) | None, option])
    if command.takes_recipe:
        yield _parameter("recipe", None, Recipe)
    if command.takes_config:
        yield _parameter("config_file", None, ConfigFile)
    yield _parameter("as_json", False, Json)
    if command.forecast:
        yield _parameter("dry_run", False, DryRun)
    yield _parameter("debug", False, Debug)
    yield _parameter("help_all", False, HelpAll)


def given_settings(command: Command, parsed: Mapping[str, object]) -> dict[str, object]:
    """Return the settings that a command line gives, whether as arguments or as flags.

    Raises:
        UsageError: an argument and its flag differ.
    """
    given = {key: value for key, value in parsed.items() if value not in (None, [], ())}
    for name in command.arguments:
        value = given.pop(_argument(name), None)
        if value is not None and given.setdefault(name, value) != value:
            raise UsageError(
                f"{name.upper()} and {flag_of(name)} differ: {value}, {given[name]}.",
                fix="Give one of them.",
            )
    return given


def _argument(name: str) -> str:
    return f"{name}_argument"


def _parameter(name: str, default: object, annotation: object) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _kind(field: FieldInfo) -> Any:
    """Return a type for Typer, which takes no mappings and no lists of choices or of bounds."""
    if {int, str} <= {*get_args(field.annotation)}:
        return str
    if get_origin(field.annotation) not in (dict, list):
        return field.annotation
    return list[Path] if field.annotation == list[Path] else list[str]


def _declared(name: str, field: FieldInfo) -> str:
    flag = flag_of(name)
    return f"{flag}/--no-{flag[2:]}" if field.annotation is bool else flag


def _metavar(kind: object) -> str | None:
    origin, inner = get_origin(kind), [part for part in get_args(kind) if part is not type(None)]
    if origin is dict:
        return "NAME=EXPRESSION"
    if origin is Literal:
        return "|".join(inner)
    return _metavar(inner[0]) if inner else METAVARS.get(kind)


def _help(field: FieldInfo) -> str:
    """Say what a setting does, whether it may be repeated, and its default."""
    text, bracket, default = (field.description or "").partition(" [default: ")
    if get_origin(field.annotation) in (dict, list):
        text += " May be repeated."
    if field.is_required():
        return f"{text} [required]"
    if bracket:
        return f"{text}{bracket}{default}"
    value = field.get_default(call_default_factory=True)
    if field.annotation is bool:
        value = "yes" if value else "no"
    return f"{text} [default: {'none' if value in (None, [], {}) else value}]"
