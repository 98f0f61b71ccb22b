"""The command line: parses, calls a stage, prints. What a setting means stands in `config`."""

from __future__ import annotations

import errno
import inspect
import json
import os
import resource
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from hnmine import config
from hnmine.config import file as configfile
from hnmine.config.commands import EXAMPLES, FIRST_STEPS, MORE_HELP, SUMMARIES
from hnmine.errors import Exit, HnmineError, is_out_of_memory
from hnmine.tasks import interrupts
from hnmine.tasks.places import mirrored

app = typer.Typer(
    name="hnmine",
    help=FIRST_STEPS,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML file with a key for each flag; flags win over it. [default: none]"
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


def _option(name: str, field: Any) -> inspect.Parameter:
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


def _directory(name: str, fields: Mapping[str, Any]) -> inspect.Parameter:
    """Turn a setting into an argument; as with flags, None means not given."""
    shown = typer.Argument(metavar=name.upper(), help=_help(fields[name]))
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[Path | None, shown])


def _place(result: Any) -> str:
    return mirrored(Path(result.path)) or str(result.path)


def _print(result: Any, as_json: bool) -> None:
    results = result if isinstance(result, list) else [result]
    if as_json:
        documents = [
            {"path": _place(r), "counts": dict(r.counts), "notes": list(r.notes)} for r in results
        ]
        typer.echo(json.dumps(documents if len(documents) > 1 else documents[0], indent=2))
        return
    for result in results:
        typer.echo(_place(result))
        width = max(len(name) for name in result.counts)
        for name, count in result.counts.items():
            shown = name if "." in name else name.replace("_", " ")  # A file keeps its name.
            typer.echo(f"  {shown:<{width}}  {count:>14,}")
        for note in result.notes:
            typer.echo(note)


def _say_cost(seconds: float) -> None:
    """Say on a terminal what a run took; the same stands in its run.json, for each directory."""
    if not sys.stderr.isatty():
        return
    own, children = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    peak = max(own, children) * (1 if sys.platform == "darwin" else 1024)
    minutes, rest = divmod(seconds, 60)
    took = f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{rest:.1f} s"
    typer.echo(f"{took}, at most {peak / 1e9:.2f} GB of memory", err=True)


def _print_lines(found: Any, as_json: bool) -> None:
    typer.echo(json.dumps(found.as_json(), indent=2) if as_json else "\n".join(found.lines()))


def _print_report(report: Any, as_json: bool) -> None:
    _print_lines(report, as_json)
    report.check()


def _print_styled(found: Any, as_json: bool) -> None:
    if as_json:
        _print_lines(found, as_json)
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    with console.capture() as styled:
        console.print(found)
    lines = (line.rstrip() for line in styled.get().splitlines())
    typer.echo("\n".join(lines), color=True)  # What the terminal can show, rich knows.


def _register(
    name: str,
    fields: Mapping[str, Any],
    act: Callable[[dict[str, Any], dict[str, Any]], Any],
    show: Callable[[Any, bool], None] = _print,
    arguments: Sequence[inspect.Parameter] = (),
    forecast: Callable[[dict[str, Any], dict[str, Any]], Any] | None = None,
) -> None:
    """Add a command whose flags are the given settings, but for those that are arguments."""

    def command(
        config_file: Path | None, as_json: bool, debug: bool, dry_run: bool = False, **flags: Any
    ) -> None:
        given = {key: value for key, value in flags.items() if value not in (None, [])}
        with _errors_explained(debug):
            file = configfile.read_yaml(config_file) if config_file else {}
            if dry_run and forecast:
                _print_lines(forecast(file, given), as_json)
                return
            started = time.monotonic()
            result = act(file, given)
            if show is _print and given.get("progress", file.get("progress", True)):
                _say_cost(time.monotonic() - started)
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
            *(_option(key, field) for key, field in own.items()),
            *(_option(key, field) for key, field in shared.items()),
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
        paths = [flags.pop("paths", [])] if takes_paths else []
        settings = configfile.settings_for(command, file, flags)
        name = command.replace("-", "_")
        return getattr(import_module(f"hnmine.stages.{name}"), name)(settings, *paths)

    return act


def _run(file: dict[str, Any], flags: dict[str, Any]) -> list[Any]:
    settings = configfile.pipeline(file, flags)
    more = {name: configfile.optional(name, file, flags) for name in ("generate", "batch", "mix")}
    from hnmine.stages.pipeline import run

    return run(settings, **more)


def _forecast(command: str) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    """Return what says what a command would do."""

    def act(file: dict[str, Any], flags: dict[str, Any]) -> Any:
        stages = (
            configfile.pipeline(file, flags)
            if command == "run"
            else [configfile.settings_for(command, file, flags)]
        )
        from hnmine.stages.dry_run import dry_run

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
for _name, _show in (("init", _print_lines), ("validate", _print_report)):
    _fields = config.COMMANDS[_name].model_fields
    _register(_name, _fields, _stage(_name, takes_paths=True), _show, [_paths])
_register("models", config.ModelsSettings.model_fields, _stage("models"), _print_lines)
_register("run", _all_fields(), _run, forecast=_forecast("run"))
for _name in config.STAGES:
    _register(_name, config.COMMANDS[_name].model_fields, _stage(_name), forecast=_forecast(_name))
for _name in ("batch", "export", "push", "generate", "mix"):
    _register(_name, config.COMMANDS[_name].model_fields, _stage(_name))
for _name, _show, _directories in (
    ("audit", _print_report, []),
    ("report", _print_lines, ["mined"]),
    ("inspect", _print_styled, ["mined"]),
    ("diff", _print_lines, ["before", "after"]),
    ("review", _print_lines, ["mined"]),
):
    _fields = config.COMMANDS[_name].model_fields
    _arguments = [_directory(name, _fields) for name in _directories]
    _register(_name, _fields, _stage(_name), _show, _arguments)


@contextmanager
def _errors_explained(debug: bool) -> Iterator[None]:
    """Turn exceptions into what, why and how to fix it on stderr, and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["hnmine", *sys.argv[1:]])
        interrupted = HnmineError(
            "Interrupted. What was finished is kept.",
            fix=f"Go on with the same command:\n  {again}",
        )
        _fail(interrupted, Exit.INTERRUPTED, debug)
    except HnmineError as error:
        _fail(error, error.exit_code, debug)
    except BrokenPipeError:
        # Whoever reads the results has read enough, as `head` does; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.OK) from None
    except OSError as error:
        _fail(_explain_os_error(error), Exit.PARTIAL, debug)
    except Exception as error:
        if is_out_of_memory(error):
            _fail(_explain_memory_error(error), Exit.PARTIAL, debug)
        bug = HnmineError(
            f"Unexpected {type(error).__name__}: {_one_line(error)}",
            why="This is a fault in hnmine. What was finished is kept.",
            fix="Run the same command with --debug and report what it prints.",
        )
        _fail(bug, Exit.BUG, debug)


def _explain_os_error(error: OSError) -> HnmineError:
    what = {
        errno.ENOSPC: "The disk is full.",
        errno.EDQUOT: "The disk quota is used up.",
        errno.EFBIG: "A file would become larger than is allowed here (see ulimit -f).",
        errno.EACCES: "No permission.",
        errno.EPERM: "No permission.",
        errno.EROFS: "The file system is read-only.",
        errno.EMFILE: "Too many files are open (see ulimit -n).",
        errno.ENAMETOOLONG: "A path is too long.",
        errno.ENOENT: "A file is not there, or not any more.",
        errno.ENOTDIR: "Part of a path is a file, not a directory.",
    }.get(error.errno or 0, "The operating system refused.")
    if error.errno is None and str(error).endswith(" written"):
        what = "The disk is full, or a file would become larger than is allowed here."  # NumPy's.
    return HnmineError(
        what,
        why=_one_line(error),
        fix="Mend that, then run the same command: what was finished is kept.",
    )


def _explain_memory_error(error: Exception) -> HnmineError:
    return HnmineError(
        "Out of memory.",
        why=_one_line(error),
        fix="Run the same command where more memory is free: what was finished is kept. A smaller "
        "--batch-tokens, --block-size or --shard-size needs less.",
    )


def _one_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip()[:500] if lines else repr(error)


def _fail(error: HnmineError, code: Exit, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    typer.echo(f"error: {error.what}", err=True)
    for line in (error.why, error.fix):
        if line:
            typer.echo(line, err=True)
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    interrupts.listen()
    app()
