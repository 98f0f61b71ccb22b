"""The command line: parses, calls a stage, prints. What a setting means stands in `config`."""

from __future__ import annotations

import errno
import inspect
import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from hnmine import config, configfile, interrupts
from hnmine.config.export import FORMATS
from hnmine.errors import Exit, HnmineError, is_out_of_memory

app = typer.Typer(
    name="hnmine",
    help="Mine hard negatives for training dense retrievers, offline.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EXAMPLES = {
    "build-index": "hnmine build-index --corpus corpus.parquet --pairs pairs.parquet "
    "--encoder sentence-transformers/all-MiniLM-L6-v2 --index runs/index",
    "mine": "hnmine mine --index runs/index --pairs pairs.parquet --output runs/candidates",
    "filter": "hnmine filter --candidates runs/candidates "
    "--cross-encoder cross-encoder/ms-marco-MiniLM-L6-v2 --margin 3 --output runs/mined",
    "batch": "hnmine batch --mined runs/mined --by greedy --batch-size 64 --output runs/batches",
    "export": "hnmine export --mined runs/mined --to flagembedding --output runs/export",
    "push": "hnmine push --data runs/mined --repo me/hard-negatives",
    "generate": "hnmine generate --corpus corpus.parquet --pairs pairs.parquet "
    "--output runs/generated",
    "mix": "hnmine mix --mined runs/mined --by mochi:4 --by mochi-query:1 --output runs/mixed",
    "validate": "hnmine validate --config configs/demo.yaml",
    "audit": "hnmine audit --mined runs/mined --sample 300 --sheet sheet.csv",
    "report": "hnmine report runs/mined",
    "inspect": "hnmine inspect runs/mined --reason margin",
    "diff": "hnmine diff runs/mined runs/mined-margin-1",
    "run": "hnmine run --config configs/demo.yaml --output runs/demo --num-negatives 3",
}
SUMMARIES = {
    "build-index": "Build the BM25 and dense index of a corpus.",
    "mine": "Mine candidates for every query from an index.",
    "filter": "Keep false negatives out, choose hard negatives, write training data.",
    "batch": "Put the training rows in batches that are hard, and safe, as in-batch negatives.",
    "export": "Write mined negatives as the files of another trainer, without scoring anything.",
    "push": "Upload a directory with a dataset card to the Hugging Face hub.",
    "generate": "Make texts that may serve as negatives: positives edited by rule, or written by a "
    "language model.",
    "mix": "Mix the vectors of queries and hard negatives into synthetic negatives.",
    "validate": "Check inputs before hours are spent, and estimate what a run will need.",
    "audit": "Estimate what share of the negatives is false, from all that is known of them.",
    "report": "Write one page, and a summary, about what was mined and what became of the rest.",
    "inspect": "Show single queries: their positives, all their candidates, scores and verdicts.",
    "diff": "Say which negatives another setting of `filter` gains and loses, and why.",
    "run": "Build the index, mine and filter from one configuration, into index/, candidates/ and "
    "mined/ in --output; generated/, batches/ and mixed/ too where the file has a section "
    "`generate`, `batch` or `mix`.",
}
MORE_HELP = {"export": "\b\nFormats:\n" + "\n".join(f"  {n:<20}{s}" for n, s in FORMATS.items())}
"""Of commands, below their example; the mark keeps lines as they are."""

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file with a key for each flag; flags win over it."),
]
Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Inputs; what each is, its columns say."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


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
    default = field.get_default(call_default_factory=True)
    if get_origin(kind) in (dict, list):
        kind = list[str]  # Typer takes no lists of choices; the settings check the values.
    flag = name.replace("_", "-")
    declared = f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"
    text = field.description
    if default not in (None, ..., [], {}) and not field.is_required():
        text += f" [default: {('yes' if default else 'no') if kind is bool else default}]"
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, typer.Option(declared, help=text)],
    )


def _directory(name: str, fields: Mapping[str, Any]) -> inspect.Parameter:
    """Turn a setting into an argument; as with flags, None means not given."""
    shown = typer.Argument(metavar=name.upper(), help=fields[name].description)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[Path | None, shown])


def _print(result: Any, as_json: bool) -> None:
    results = result if isinstance(result, list) else [result]
    if as_json:
        documents = [{"path": str(r.path), "counts": dict(r.counts)} for r in results]
        typer.echo(json.dumps(documents if len(documents) > 1 else documents[0], indent=2))
        return
    for result in results:
        typer.echo(f"{result.path}")
        width = max(len(name) for name in result.counts)
        for name, count in result.counts.items():
            shown = name if "." in name else name.replace("_", " ")  # A file keeps its name.
            typer.echo(f"  {shown:<{width}}  {count:>14,}")


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
) -> None:
    """Add a command whose flags are the given settings, but for those that are arguments."""

    def command(config_file: Path | None, as_json: bool, debug: bool, **flags: Any) -> None:
        given = {key: value for key, value in flags.items() if value not in (None, [])}
        with _errors_explained(debug):
            file = configfile.read_yaml(config_file) if config_file else {}
            show(act(file, given), as_json)

    shared = {key: field for key, field in fields.items() if key in config.Settings.model_fields}
    positional = {argument.name for argument in arguments}
    own = {key: fields[key] for key in fields if key not in shared and key not in positional}
    keyword = inspect.Parameter.KEYWORD_ONLY
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *arguments,
            *(_option(key, field) for key, field in own.items()),
            *(_option(key, field) for key, field in shared.items()),
            inspect.Parameter("config_file", keyword, default=None, annotation=ConfigFile),
            inspect.Parameter("as_json", keyword, default=False, annotation=Json),
            inspect.Parameter("debug", keyword, default=False, annotation=Debug),
        ]
    )
    paragraphs = [SUMMARIES[name], "Example:", f"  {EXAMPLES[name]}", MORE_HELP.get(name, "")]
    app.command(name, help="\n\n".join(paragraphs).rstrip())(command)


def _stage(command: str) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    """Return what runs the stage of a command; its heavy packages are imported only then."""

    def act(file: dict[str, Any], flags: dict[str, Any]) -> Any:
        settings = configfile.settings_for(command, file, flags)
        name = command.replace("-", "_")
        return getattr(import_module(f"hnmine.stages.{name}"), name)(settings)

    return act


def _validate(file: dict[str, Any], flags: dict[str, Any]) -> Any:
    paths = flags.pop("paths", [])
    settings = configfile.settings_for("validate", file, flags)
    from hnmine.stages.validate import validate

    return validate(settings, paths)


def _run(file: dict[str, Any], flags: dict[str, Any]) -> list[Any]:
    settings = configfile.pipeline(file, flags)
    more = {name: configfile.optional(name, file, flags) for name in ("generate", "batch", "mix")}
    from hnmine.stages.pipeline import run

    return run(settings, **more)


def _all_fields() -> dict[str, Any]:
    fields: dict[str, Any] = {"output": config.MineSettings.model_fields["output"]}
    for settings in config.STAGES.values():
        fields |= {
            name: field
            for name, field in settings.model_fields.items()
            if name not in config.PLACES
        }
    return fields


for _name in ("build-index", "mine", "filter", "batch", "export", "push", "generate", "mix"):
    _register(_name, config.COMMANDS[_name].model_fields, _stage(_name))
_register("run", _all_fields(), _run)
_register("audit", config.AuditSettings.model_fields, _stage("audit"), _print_report)
_register(
    "validate",
    config.ValidateSettings.model_fields,
    _validate,
    _print_report,
    [inspect.Parameter("paths", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Paths)],
)
for _name, _show, _directories in (
    ("report", _print_lines, ["mined"]),
    ("inspect", _print_styled, ["mined"]),
    ("diff", _print_lines, ["before", "after"]),
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
