"""The command line: parses, calls a command, prints its result."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from hnmine.cli.failures import errors_explained
from hnmine.cli.flags import given_settings, parameters
from hnmine.cli.help_pages import GroupedCommand, GroupedCommands
from hnmine.cli.printing import clean_streams, print_result, say, say_cost
from hnmine.commands import COMMANDS, Command, configuration
from hnmine.commands.found_inputs import for_command
from hnmine.config.setting import RETIRED_COMMANDS, why_gone
from hnmine.config.shared import check_text
from hnmine.errors import UsageError
from hnmine.runner import interrupts

FIRST_STEPS = """Mine hard negatives for training dense retrievers, offline.

Example:

\b
  hnmine run corpus.parquet pairs.parquet     into runs/first
  hnmine report runs/first/mined              see the result
  hnmine init corpus.parquet pairs.parquet    write a configuration"""

WIDEST = 120
"""Columns of a help page on a wide terminal."""


def application(commands: Iterable[Command]) -> typer.Typer:
    """Return the command line with some of the commands."""
    app = typer.Typer(
        name="hnmine",
        help=FIRST_STEPS,
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        cls=GroupedCommands,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
    )
    app.callback()(_root)
    for command in commands:
        _register(app, command)
    for name in RETIRED_COMMANDS:
        _register_retired(app, name)
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


def _register(app: typer.Typer, command: Command) -> None:
    """Add a command whose flags are its settings; some are arguments too."""

    def call(
        as_json: bool,
        debug: bool,
        help_all: bool,
        config_file: Path | None = None,
        recipe: str | None = None,
        dry_run: bool = False,
        paths: list[str] | None = None,
        **parsed: object,
    ) -> None:
        with errors_explained(debug):
            if command.successor:
                say(
                    f"`hnmine {command.name}` is now `hnmine {command.successor}`; the next "
                    "release drops the old name.",
                    err=True,
                )
            given = given_settings(command, parsed)
            inputs = _readable(paths or [])
            file = configuration.read_config(config_file, recipe)
            file, given, left = for_command(command, file, given, inputs, recipe is not None)
            settings = configuration.settings_for(command.name, file, given)
            if dry_run and command.forecast:
                print_result(command.forecast(settings), as_json)
                return
            started = time.monotonic()
            result = command.run_with(settings, *left)
            if command.writes and given.get("progress", file.get("progress", True)):
                say_cost(time.monotonic() - started)
            print_result(result, as_json)

    call.__signature__ = inspect.Signature(list(parameters(command)))  # type: ignore[attr-defined]
    # A backspace keeps the lines of a paragraph as they are.
    paragraphs = [command.summary, f"\b\nExample: {command.example}", command.more_help]
    app.command(
        command.name,
        cls=GroupedCommand,
        help="\n\n".join(paragraphs).rstrip(),
        short_help=command.summary,
        hidden=bool(command.successor),
    )(call)


def _register_retired(app: typer.Typer, name: str) -> None:
    """Add a name that ends in an error with its successor, whatever follows it."""

    def call() -> None:
        with errors_explained(debug=False):
            raise UsageError(f"hnmine {why_gone(name)}", fix="`hnmine --help` lists all commands.")

    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(name, hidden=True, add_help_option=False, context_settings=anything)(call)


def _readable(paths: list[str]) -> list[str]:
    try:
        check_text(paths)
    except ValueError as error:
        raise UsageError(str(error), fix="Rename the file, or give its directory.") from error
    return paths


def __getattr__(name: str) -> typer.Typer:
    """Return `app`, the command line with all commands."""
    if name != "app":
        raise AttributeError(name)
    return application(COMMANDS.values())


def main() -> None:
    """Run the command line."""
    clean_streams()
    interrupts.listen()
    # The flags of all commands take a third of the time that a help page takes.
    asked = COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    app = application([asked] if asked else COMMANDS.values())
    try:
        app()
    except SystemExit as stop:
        interrupts.end(stop.code)
        raise
