"""The functions of the package: a command each, with its settings as keywords."""

from __future__ import annotations

import functools
import inspect
import operator
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from hnmine.commands import COMMANDS, configuration
from hnmine.commands.command import Command
from hnmine.commands.found_inputs import for_command
from hnmine.config import Settings
from hnmine.config.setting import RETIRED_COMMANDS, About, about, why_gone
from hnmine.config.shared import no_such_setting
from hnmine.errors import HnmineError, UsageError
from hnmine.in_memory import MODEL, URL, LoadedModel, OnDisk, Tables, Tabular, is_table, on_disk
from hnmine.runner.plan import Json

NAMES = {name: name.replace("-", "_") for name in COMMANDS} | {"filter": "filter_negatives"}
"""The function of each command; a function named filter would hide Python's own."""

CONFIG = "YAML file, or what such a file holds; the keywords win over it."
RECIPE = "Recipe, such as bge; config and the keywords win over it."

AnyPath = str | os.PathLike[str]


def function(name: str) -> Callable[..., object]:
    """Return the function of a name, as `NAMES` has it, or of an older name."""
    if name == "filter":
        return _deprecated(function("filter_negatives"))
    if name in RETIRED_COMMANDS:
        return _retired(name)
    command = next(COMMANDS[known] for known, other in NAMES.items() if other == name)
    shape = signature(command)

    def call(
        *arguments: object,
        config: AnyPath | Mapping[str, object] | None = None,
        recipe: str | None = None,
        **given: object,
    ) -> object:
        positional = shape.bind_partial(*arguments).arguments
        paths = positional.pop("paths", ())
        if twice := positional.keys() & given.keys():
            raise TypeError(f"{name}() got multiple values for argument {min(twice)!r}")
        flags = {key.replace("-", "_"): value for key, value in (positional | given).items()}
        with _errors_of(flags), on_disk() as disk, torch_as_before():
            if recipe is not None and not command.takes_recipe:
                flags["recipe"] = recipe  # An unknown setting of this command.
            if command.name == "run":  # Its commands take what is theirs, and leave the rest.
                _refuse_unknown(flags, command)
            flags = disk.settings(command.settings, flags)
            inputs = [str(_input(command, n, path, disk)) for n, path in enumerate(paths)]
            file, flags, left = for_command(
                command, _file(config, recipe), flags, inputs, recipe is not None
            )
            settings = configuration.settings_for(command.name, file, flags)
            return command.run_with(settings, *left)

    call.__name__ = call.__qualname__ = name
    call.__module__ = "hnmine"
    call.__doc__ = docstring(command)
    call.__signature__ = shape  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in shape.parameters.values()}
    call.__annotations__["return"] = shape.return_annotation
    return call


def _input(command: Command, number: int, given: object, disk: OnDisk) -> object:
    """Return the path of an input whose kind its columns say."""
    if command.name == "init" and is_table(given):
        raise UsageError(
            "init: writes the paths of your inputs into a file, and a table has no path.",
            fix="Save the table, or pass it to run.",
        )
    return disk.table(f"input-{number}", given)


@contextmanager
def torch_as_before() -> Iterator[None]:
    """Give PyTorch its threads back, which a stage takes to run batches of its own on each."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    try:
        yield
    finally:
        if torch := sys.modules.get("torch"):
            asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
            usual = int(asked) if asked.isdigit() else torch.get_num_interop_threads()
            torch.set_num_threads(before or max(usual, 1))


def _deprecated(new: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(new)
    def call(*arguments: object, **given: object) -> object:
        message = "hnmine.filter is now hnmine.filter_negatives; the old name goes after 0.1."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return new(*arguments, **given)

    call.__name__ = call.__qualname__ = "filter"
    return call


def _retired(name: str) -> Callable[..., object]:
    def call(*arguments: object, **given: object) -> object:
        raise UsageError(f"hnmine.{why_gone(name)}", fix="help(hnmine) lists all functions.")

    call.__name__ = call.__qualname__ = name
    return call


def signature(command: Command) -> inspect.Signature:
    """Return what the function of a command takes, and the name of the type of its result."""
    fields = command.settings.model_fields
    keyword, positional, several = (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    parameters = []
    if command.takes_paths:
        given = AnyPath if command.name == "init" else AnyPath | Tabular
        parameters.append(inspect.Parameter("paths", several, annotation=given))
    ordered = sorted(fields, key=lambda name: _rank(name, command))
    for name in ordered:
        field = fields[name]
        annotation = accepted(field.annotation, about(field))
        default: object = inspect.Parameter.empty
        if command.name == "run" and field.is_required():  # It may be in the file.
            annotation, default = annotation | None, None
        elif not field.is_required():
            default = _plain(field.get_default(call_default_factory=True))
        kind = positional if name in command.arguments else keyword
        parameters.append(inspect.Parameter(name, kind, default=default, annotation=annotation))
    if command.takes_recipe:
        parameters.append(inspect.Parameter("recipe", keyword, default=None, annotation=str | None))
    file = AnyPath | Mapping[str, object] | None
    if command.takes_config:
        parameters.append(inspect.Parameter("config", keyword, default=None, annotation=file))
    result = command.run.__annotations__["return"]
    return inspect.Signature(parameters, return_annotation=result)


def _rank(name: str, command: Command) -> tuple[bool, ...]:
    """Order settings: arguments, what must be given, the command's own, then what others share."""
    settings = command.settings
    return (
        name not in command.arguments,
        not settings.model_fields[name].is_required(),
        name not in settings.__annotations__,
        name in Settings.model_fields,
    )


def accepted(kind: object, said: About) -> Any:
    """Return the type that a caller may pass for a setting.

    Args:
        kind: the type of the setting.
        said: what its declaration says.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return accepted(inner[0], said)
    if kind is str and said.value == MODEL:
        return AnyPath | LoadedModel
    if kind is str and said.place and said.value != URL:
        return AnyPath | Tabular
    if kind is Path or (kind is str and said.place):
        return AnyPath
    if (
        origin is list and inner == (str,) and said.place and said.value != URL
    ):  # A list, as corpus is.
        return AnyPath | Tables
    if origin is list:
        one = accepted(inner[0], said)
        return one | _of(Sequence, one)
    if origin is dict:
        return _of(Mapping, (inner[0], accepted(inner[1], said))) | _of(Sequence, str)
    if origin and origin is not Literal:
        return functools.reduce(operator.or_, (accepted(one, said) for one in inner))
    return kind


def _of(kind: Any, parts: object) -> Any:
    return kind[parts]


def _plain(default: object) -> object:
    if isinstance(default, Path):
        return str(default)
    return () if default in ([], {}) else default


def docstring(command: Command) -> str:
    """Return what `help` shows of the function of a command."""
    parameters = signature(command).parameters
    fields = command.settings.model_fields
    about = {name: field.description or "" for name, field in fields.items()}
    about |= {"paths": "Inputs; what each is, its columns say.", "config": CONFIG, "recipe": RECIPE}
    described = (
        f"    {name}: {keywords(about[name]).replace('May be repeated.', 'One, or several.')}"
        for name in parameters
    )
    raised = "    HnmineError: with what is wrong, why, and how to fix it."
    return "\n".join([keywords(command.summary), "", "Args:", *described, "", "Raises:", raised])


@functools.cache
def _known() -> dict[str, set[str]]:
    """Return the words that each setting takes, by its name; none for one of another type."""
    known: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        for name, field in command.settings.model_fields.items():
            words = known.setdefault(name, set())
            for kind in (field.annotation, *get_args(field.annotation)):
                if get_origin(kind) is Literal:
                    words.update(map(str, get_args(kind)))
                if kind is bool:
                    words.add("True")
    return known


_COMMAND_LINE = re.compile(r"(`hnmine [^`]*`|^\s*hnmine .*$)", re.MULTILINE)
_HELP = re.compile(r"`hnmine ([a-z-]+) --help-all` lists all options")
_FLAG = re.compile(
    r"(?<![\w-])--(?P<no>no-)?(?P<name>[a-z][a-z0-9-]*)(?![\w=])(?: (?P<value>[\w.]+\b))?"
)
_LEADING = re.compile(r"^[a-z-]+(?=: )|(?<=Did you mean )[a-z-]+", re.MULTILINE)


def keywords(text: str) -> str:
    """Return a text about flags as one about keywords: `--no-dense` becomes `dense=False`.

    Command lines stay as they are.
    """

    def keyword(found: re.Match[str]) -> str:
        name = found["name"].replace("-", "_")
        if name not in _known():
            return found[0]
        value = found["value"]
        if value and value in _known()[name]:
            return f"{name}={value!r}"
        if value and re.fullmatch(r"\d+(\.\d+)?", value):
            return f"{name}={value}"
        if "True" in _known()[name]:
            name += "=False" if found["no"] else "=True"
        return f"{name} {value}" if value else name

    def leading(found: re.Match[str]) -> str:
        name = found[0].replace("-", "_")
        return name if name in _known() else found[0]

    parts = _COMMAND_LINE.split(text)
    parts[::2] = (_LEADING.sub(leading, _FLAG.sub(keyword, part)) for part in parts[::2])
    return "".join(parts)


@contextmanager
def _errors_of(given: Mapping[str, object]) -> Iterator[None]:
    """Let errors name settings as the caller of a function wrote them."""
    try:
        yield
    except HnmineError as error:
        parts = [keywords(part) for part in (error.what, error.why, error.fix)]
        for name in given:  # An unknown one is in no list of settings.
            shown = re.escape(name.replace("_", "-"))
            parts[0] = re.sub(rf"^{shown}: (no such|removed)", rf"{name}: \1", parts[0], flags=re.M)
        parts[2] = _HELP.sub(lambda found: f"See help(hnmine.{NAMES[found[1]]})", parts[2])
        error.say(*parts)
        raise


def _refuse_unknown(flags: Mapping[str, object], command: Command) -> None:
    known = command.settings.model_fields
    if problems := [no_such_setting(key, known) for key in flags if key not in known]:
        raise UsageError(
            "\n".join(problems), fix=f"`hnmine {command.name} --help-all` lists all options."
        )


def _file(config: AnyPath | Mapping[str, object] | None, recipe: str | None) -> Json:
    given = config if config is None or isinstance(config, Mapping) else Path(config)
    return configuration.read_config(given, recipe)
