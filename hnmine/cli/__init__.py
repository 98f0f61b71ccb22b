"""The command line: parses, calls a stage, prints. What a setting means stands in `config`."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from hnmine import config
from hnmine.cli.failures import errors_explained
from hnmine.cli.flags import ConfigFile, Debug, DryRun, Json, Paths, directory, option
from hnmine.cli.printing import (
    clean_streams,
    print_counts,
    print_lines,
    print_report,
    print_styled,
    say_cost,
)
from hnmine.config import yaml_file as configfile
from hnmine.config.commands import EXAMPLES, FIRST_STEPS, MORE_HELP, SUMMARIES
from hnmine.config.shared import check_text
from hnmine.errors import UsageError
from hnmine.runner import interrupts

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


def _register(
    name: str,
    fields: Mapping[str, Any],
    act: Callable[[dict[str, Any], dict[str, Any]], Any],
    show: Callable[[Any, bool], None] = print_counts,
    arguments: Sequence[inspect.Parameter] = (),
    forecast: Callable[[dict[str, Any], dict[str, Any]], Any] | None = None,
) -> None:
    """Add a command whose flags are the given settings, but for those that are arguments."""

    def command(
        config_file: Path | None, as_json: bool, debug: bool, dry_run: bool = False, **flags: Any
    ) -> None:
        given = {key: value for key, value in flags.items() if value not in (None, [])}
        with errors_explained(debug):
            file = configfile.read_yaml(config_file) if config_file else {}
            if dry_run and forecast:
                print_lines(forecast(file, given), as_json)
                return
            started = time.monotonic()
            result = act(file, given)
            if show is print_counts and given.get("progress", file.get("progress", True)):
                say_cost(time.monotonic() - started)
            show(result, as_json)

    shared = {key: field for key, field in fields.items() if key in config.Settings.model_fields}
    positional = {argument.name for argument in arguments}
    own = {key: fields[key] for key in fields if key not in shared and key not in positional}
    keyword = inspect.Parameter.KEYWORD_ONLY
    flag = inspect.Parameter("dry_run", keyword, default=False, annotation=DryRun)
    dry = [flag] if forecast else []
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *arguments,
            *(option(key, field) for key, field in own.items()),
            *(option(key, field) for key, field in shared.items()),
            inspect.Parameter("config_file", keyword, default=None, annotation=ConfigFile),
            inspect.Parameter("as_json", keyword, default=False, annotation=Json),
            *dry,
            inspect.Parameter("debug", keyword, default=False, annotation=Debug),
        ]
    )
    paragraphs = [SUMMARIES[name], "Example:", f"  {EXAMPLES[name]}", MORE_HELP.get(name, "")]
    text = "\n\n".join(paragraphs).rstrip()
    app.command(name, help=text, short_help=SUMMARIES[name])(command)


def _stage(
    command: str, *, takes_paths: bool = False
) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    """Return what runs the stage of a command; its heavy packages are imported only then."""

    def act(file: dict[str, Any], flags: dict[str, Any]) -> Any:
        paths = [_readable(flags.pop("paths", []))] if takes_paths else []
        settings = configfile.settings_for(command, file, flags)
        name = command.replace("-", "_")
        return getattr(import_module(f"hnmine.stages.{name}"), name)(settings, *paths)

    return act


def _readable(paths: list[str]) -> list[str]:
    try:
        check_text(paths)
    except ValueError as error:
        raise UsageError(str(error), fix="Rename the file, or give its directory.") from error
    return paths


def _run(file: dict[str, Any], flags: dict[str, Any]) -> list[Any]:
    settings = configfile.pipeline(file, flags)
    more = {name: configfile.optional(name, file, flags) for name in ("generate", "batch", "mix")}
    from hnmine.commands.run import run

    return run(settings, **more)


def _forecast(command: str) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    """Return what says what a command would do."""

    def act(file: dict[str, Any], flags: dict[str, Any]) -> Any:
        stages = (
            configfile.pipeline(file, flags)
            if command == "run"
            else [configfile.settings_for(command, file, flags)]
        )
        from hnmine.validate.dry_run import dry_run

        return dry_run(stages)

    return act


def _all_fields() -> dict[str, Any]:
    fields: dict[str, Any] = {"output": config.MineSettings.model_fields["output"]}
    for settings in config.STAGES.values():
        fields |= {
            name: field
            for name, field in settings.model_fields.items()
            if name not in config.PLACES
        }
    return fields


_paths = inspect.Parameter("paths", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Paths)
for _name, _show in (("init", print_lines), ("validate", print_report)):
    _fields = config.COMMANDS[_name].model_fields
    _register(_name, _fields, _stage(_name, takes_paths=True), _show, [_paths])
_register("models", config.ModelsSettings.model_fields, _stage("models"), print_lines)
_register("run", _all_fields(), _run, forecast=_forecast("run"))
for _name in config.STAGES:
    _register(_name, config.COMMANDS[_name].model_fields, _stage(_name), forecast=_forecast(_name))
for _name in ("batch", "export", "push", "generate", "mix"):
    _register(_name, config.COMMANDS[_name].model_fields, _stage(_name))
for _name, _show, _directories in (
    ("audit", print_report, []),
    ("report", print_lines, ["mined"]),
    ("inspect", print_styled, ["mined"]),
    ("diff", print_lines, ["before", "after"]),
    ("review", print_lines, ["mined"]),
):
    _fields = config.COMMANDS[_name].model_fields
    _arguments = [directory(name, _fields) for name in _directories]
    _register(_name, _fields, _stage(_name), _show, _arguments)


def main() -> None:
    """Run the command line."""
    clean_streams()
    interrupts.listen()
    try:
        app()
    except SystemExit as stop:
        interrupts.end(stop.code)
        raise
