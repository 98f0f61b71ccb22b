"""The command line: parses, calls a command, prints. Settings are documented in `config`."""

from __future__ import annotations

import inspect
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hnmine.cli.failures import errors_explained
from hnmine.cli.flags import ConfigFile, Debug, DryRun, Json, Paths, directory, option
from hnmine.cli.printing import clean_streams, print_result, say_cost
from hnmine.commands import COMMANDS, Command, configuration
from hnmine.config import Settings
from hnmine.config.shared import check_text
from hnmine.errors import UsageError
from hnmine.runner import interrupts

FIRST_STEPS = """Mine hard negatives for training dense retrievers, offline.

Example:

\b
  hnmine init corpus.parquet pairs.parquet    write a configuration for your files
  hnmine run --config hnmine.yaml             index, mine, filter
  hnmine report runs/first/mined              see what came out"""

app = typer.Typer(
    name="hnmine",
    help=FIRST_STEPS,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from hnmine import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _register(command: Command) -> None:
    """Add a command whose flags are its settings, but for those that are arguments."""

    def call(
        config_file: Path | None, as_json: bool, debug: bool, dry_run: bool = False, **flags: Any
    ) -> None:
        given = {key: value for key, value in flags.items() if value not in (None, [])}
        with errors_explained(debug):
            paths = [_readable(given.pop("paths", []))] if command.takes_paths else []
            file = configuration.read_config(config_file) if config_file else {}
            settings = configuration.settings_for(command.name, file, given)
            if dry_run and command.forecast:
                print_result(command.forecast(settings), as_json)
                return
            started = time.monotonic()
            result = command.run(settings, *paths)
            if command.writes and given.get("progress", file.get("progress", True)):
                say_cost(time.monotonic() - started)
            print_result(result, as_json)

    call.__signature__ = inspect.Signature(_parameters(command))  # type: ignore[attr-defined]
    paragraphs = [command.summary, "Example:", f"  {command.example}", command.more_help]
    text = "\n\n".join(paragraphs).rstrip()
    app.command(command.name, help=text, short_help=command.summary)(call)


def _parameters(command: Command) -> list[inspect.Parameter]:
    """Return the arguments and flags: a command's own, those of all commands, and the common."""
    fields = command.settings.model_fields
    shared = [name for name in fields if name in Settings.model_fields]
    own = [name for name in fields if name not in (*shared, *command.arguments)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    common: list[tuple[str, Any, Any]] = [("paths", None, Paths)] if command.takes_paths else []
    common += [("config_file", None, ConfigFile), ("as_json", False, Json)]
    common += [("dry_run", False, DryRun)] if command.forecast else []
    common += [("debug", False, Debug)]
    return [
        *(directory(name, fields) for name in command.arguments),
        *(option(name, fields[name]) for name in (*own, *shared)),
        *(
            inspect.Parameter(name, keyword, default=default, annotation=annotation)
            for name, default, annotation in common
        ),
    ]


def _readable(paths: list[str]) -> list[str]:
    try:
        check_text(paths)
    except ValueError as error:
        raise UsageError(str(error), fix="Rename the file, or give its directory.") from error
    return paths


for _command in COMMANDS.values():
    _register(_command)


def main() -> None:
    """Run the command line."""
    clean_streams()
    interrupts.listen()
    try:
        app()
    except SystemExit as stop:
        interrupts.end(stop.code)
        raise
