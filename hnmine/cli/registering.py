"""Commands as parts of the command line."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import Path

import typer

from hnmine.cli.command_pages import GroupedCommand
from hnmine.cli.failures import errors_explained
from hnmine.cli.flags import given_settings, parameters
from hnmine.cli.printing import print_result, say, say_cost
from hnmine.commands import configuration
from hnmine.commands.command import Command
from hnmine.commands.found_inputs import for_command
from hnmine.config.setting import RETIRED_COMMANDS, why_gone
from hnmine.config.shared import check_text
from hnmine.errors import UsageError


def register(app: typer.Typer, command: Command) -> None:
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
    app.command(
        command.name,
        cls=GroupedCommand,
        help=command.summary,
        short_help=command.summary,
        hidden=bool(command.successor),
    )(call)


def register_retired(app: typer.Typer) -> None:
    """Add the names that end in an error with their successor, whatever follows them."""
    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    for name in RETIRED_COMMANDS:
        app.command(name, hidden=True, add_help_option=False, context_settings=anything)(
            _refusal(f"hnmine {why_gone(name)}")
        )


def _refusal(what: str) -> Callable[[], None]:
    def call() -> None:
        with errors_explained(debug=False):
            raise UsageError(what, fix="`hnmine --help` lists all commands.")

    return call


def _readable(paths: list[str]) -> list[str]:
    try:
        check_text(paths)
    except ValueError as error:
        raise UsageError(str(error), fix="Rename the file, or give its directory.") from error
    return paths
