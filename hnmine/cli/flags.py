"""Settings as flags and arguments of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE|RECIPE",
        help="YAML file with a key for each flag, or the name of a recipe; flags win over it. "
        "[default: none]",
    ),
]
Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Inputs; what each is, its columns say."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON. [default: no]")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Only say what would be done: tasks, memory, disk, and time by a short trial. "
        "[default: no]",
    ),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error. [default: no]")
]


def option(name: str, field: Any) -> inspect.Parameter:
    """Turn a setting into a flag; None means not given, so that the file or the default counts."""
    kind = field.annotation
    if get_origin(kind) in (dict, list):
        kind = list[str]  # Typer takes no lists of choices; the settings check the values.
    flag = name.replace("_", "-")
    declared = f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, typer.Option(declared, help=_help(field))],
    )


def _help(field: Any) -> str:
    """Say what a setting does, and what holds where it is not given."""
    text: str = field.description
    if field.is_required():
        return f"{text} [required]"
    default = field.get_default(call_default_factory=True)
    if default in (None, [], {}):
        return text if "[default: " in text else f"{text} [default: none]"
    shown = ("yes" if default else "no") if field.annotation is bool else default
    return f"{text} [default: {shown}]"


def directory(name: str, fields: Mapping[str, Any]) -> inspect.Parameter:
    """Turn a setting into an argument; as with flags, None means not given."""
    shown = typer.Argument(metavar=name.upper(), help=_help(fields[name]))
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[Path | None, shown])
