"""The command line: parses, calls a command, prints its result."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from hnmine.cli.command_list import CommandList
from hnmine.cli.help_pages import WIDEST
from hnmine.cli.printing import clean_streams
from hnmine.commands import COMMANDS
from hnmine.runner import interrupts

FIRST_STEPS = """Mine hard negatives for training dense retrievers, offline.

Example:
  hnmine run corpus.parquet pairs.parquet   in runs/first
  hnmine report runs/first/mined            see the result
  hnmine init corpus.parquet pairs.parquet  write settings"""

OF_ALL = ("", "-h", "--help", "--version")
"""First arguments that need no command: importing the settings takes most of a help page's time."""

COMPLETES = "_HNMINE_COMPLETE"
"""Variable with which a shell asks for what completes a line."""


def application(names: Iterable[str]) -> typer.Typer:
    """Return the command line with some of the commands."""
    app = typer.Typer(
        name="hnmine",
        help=FIRST_STEPS,
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        cls=CommandList,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
    )
    app.callback()(_root)
    if names := list(names):
        from hnmine.cli.registering import register, register_retired

        for name in names:
            register(app, COMMANDS[name])
        register_retired(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from hnmine import __version__

        typer.echo(__version__)
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def __getattr__(name: str) -> typer.Typer:
    """Return `app`, the command line with all commands."""
    if name != "app":
        raise AttributeError(name)
    return application(COMMANDS)


def main() -> None:
    """Run the command line."""
    clean_streams()
    interrupts.listen()
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    if asked in OF_ALL and COMPLETES not in os.environ:
        app = application([])
    else:
        # The flags of all commands take a third of the time that a help page takes.
        app = application([asked] if asked in COMMANDS else COMMANDS)
    try:
        app()
    except SystemExit as stop:
        interrupts.end(stop.code)
        raise
