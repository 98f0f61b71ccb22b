"""Settings from a YAML file and flags, for one command or for `hnmine run`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

from hnmine.commands import COMMANDS
from hnmine.commands.run import DIRECTORIES, STAGES, Pipeline, RunSettings
from hnmine.commands.yaml_file import read_yaml
from hnmine.config import (
    BatchSettings,
    BuildIndexSettings,
    FilterSettings,
    GenerateSettings,
    MineSettings,
    MixSettings,
    ModelSettings,
    Settings,
)
from hnmine.config.mined_settings import AuditedSettings
from hnmine.config.shared import no_such_setting
from hnmine.errors import UsageError
from hnmine.recipes import RECIPES, recipe_file
from hnmine.runner.plan import Json

S = TypeVar("S", bound=Settings)

ALL_OPTIONS_OF_RUN = "`hnmine run --help-all`"


def settings_for(command: str, file: Json, flags: Json) -> Settings | Pipeline:
    """Return one command's settings; flags win over a section of the file, that over its top level.

    A top-level key of the file goes to every command that has it, a section named like a command
    to that command alone. `validate` reads the sections of the stages too, to check their inputs.
    The file's `output` is the directory of `hnmine run`.

    Returns:
        An object of the command's settings; of `run` a `Pipeline`.

    Raises:
        UsageError: naming every setting that is unknown, missing or wrong.
    """
    if command == "run":
        return pipeline(file, flags)
    return _settings(COMMANDS[command].settings, file, flags)


def _settings(kind: type[S], file: Json, flags: Json) -> S:
    _check_keys(file)
    command, fields = kind.command, kind.model_fields
    values = by_name({k: v for k, v in file.items() if not _is_section(k, v)})
    if time_budget(values):  # It is the whole run's.
        del values["budget"]
    places = _places(command, values) if "output" in values else {}
    own = {
        key: value
        for key, value in values.items()
        if key in fields and key not in DIRECTORIES and _is_meant(command, key, value)
    }
    if issubclass(kind, AuditedSettings) and "queries" in values:
        own.pop("qrels", None)  # Those that were mined with hold no false negative.
    section = {**_of_older_names(command, file, fields), **by_name(_section(file, command))}
    if command == "validate":
        section = {**_of_stages(file, fields), **section}
    return kind.parse({**own, **places, **section, **flags})


def _is_meant(command: str, key: str, value: object) -> bool:
    """Tell whether a key of the top level means a command's setting, not another's of its name.

    Yes or no can only mean a switch; anything else means what most commands take.
    """
    owner = next((one for one in COMMANDS.values() if key in one.own_keys), None)
    if owner is None:
        return True
    is_switch = owner.settings.model_fields[key].annotation is bool and isinstance(value, bool)
    return is_switch == (command == owner.name)


def _is_section(key: str, value: object) -> bool:
    """Tell whether a key of the file is a command's; `judge` names a setting of `filter` too."""
    command = COMMANDS.get(key)
    if command is None or not command.takes_config:
        return False
    return isinstance(value, Mapping) or key not in _settings_of_all()


def _section(file: Json, command: str) -> Json:
    given = file.get(command, {})
    return given if isinstance(given, dict) else {}


def _settings_of_all() -> set[str]:
    taking = (command.settings for command in COMMANDS.values() if command.takes_config)
    return {name for settings in taking for name in settings.model_fields}


def by_name(section: Json) -> Json:
    """Return settings by their names in Python."""
    return {key.replace("-", "_"): value for key, value in section.items()}


def _of_older_names(command: str, file: Json, fields: Collection[str]) -> Json:
    """Return the settings in the sections of a command's older names."""
    older = [c.name for c in COMMANDS.values() if c.successor.partition(" ")[0] == command]
    sections = (by_name(file.get(name, {})) for name in older)
    return {k: v for section in sections for k, v in section.items() if k in fields}


def _of_stages(file: Json, fields: Collection[str]) -> Json:
    """Return the values that the sections of the stages give to fields; an earlier stage wins."""
    values: Json = {}
    columns = _column_items(file.get("column"))
    for stage in (command.name for command in STAGES):
        section = by_name(file.get(stage, {}))
        columns += _column_items(section.pop("column", None))
        # How a model runs is taken from the encoder; other stages may run other models.
        other = set() if stage == "build-index" else ModelSettings.model_fields.keys()
        values = {**{k: v for k, v in section.items() if k in fields and k not in other}, **values}
    return {**values, "column": columns} if columns else values


def _column_items(given: object) -> list[object]:
    if isinstance(given, Mapping):
        return [f"{role}={name}" for role, name in given.items()]
    return list(given) if isinstance(given, list | tuple) else [given] if given else []


def pipeline(file: Json, flags: Json) -> Pipeline:
    """Return the settings of `hnmine run`; a flag goes to every command that has it.

    Raises:
        UsageError: naming every setting that is unknown, missing or wrong.
    """
    if not file and not flags:
        raise UsageError(
            "Missing input files.",
            fix="Pass them, as in `hnmine run corpus.parquet pairs.parquet`, or --config FILE.",
        )
    file = _with_section_of_run(file)
    if "output" not in {**file, **flags}:
        raise UsageError(
            "Missing required option --output.",
            fix="Pass a directory, or write `output: DIRECTORY` in the file.",
        )
    file = {**file, **{key: flags[key] for key in ("output", "index") if key in flags}}
    budget = time_budget(flags) or (None if "budget" in flags else time_budget(file))
    flags = {key: value for key, value in flags.items() if not (budget and key == "budget")}

    def of(kind: type[S]) -> S:
        try:
            return _settings(kind, file, _flags_for(kind, flags))
        except UsageError as error:
            fix = error.fix.replace(f"`hnmine {kind.command} --help-all`", ALL_OPTIONS_OF_RUN)
            error.say(error.what, error.why, fix)
            raise

    return Pipeline(
        of(BuildIndexSettings),
        of(MineSettings),
        of(FilterSettings),
        optional(GenerateSettings, file, flags),
        optional(BatchSettings, file, flags),
        optional(MixSettings, file, flags),
        Path(file["output"]),
        budget,
    )


def _with_section_of_run(file: Json) -> Json:
    """Return a file with its section `run` instead of what its top level says.

    Raises:
        UsageError: the section holds what is no setting of `hnmine run`.
    """
    _check_keys(file)
    section, known = by_name(_section(file, "run")), RunSettings.model_fields
    if problems := [no_such_setting(f"run.{key}", known) for key in section if key not in known]:
        raise UsageError("\n".join(problems), fix=f"{ALL_OPTIONS_OF_RUN} lists all settings.")
    kept = {k: v for k, v in file.items() if k != "run" and k.replace("-", "_") not in section}
    return {**kept, **section}


def time_budget(given: Json) -> str | None:
    """Return `budget` if it is a time; a number limits the judgements of --max-false instead."""
    budget = given.get("budget")
    is_time = isinstance(budget, str) and not budget.strip().isdecimal()
    return str(budget) if is_time else None


def optional(kind: type[S], file: Json, flags: Json) -> S | None:
    """Return the settings of a further command; None where the file has no section for it.

    Raises:
        UsageError: naming every setting that is unknown, missing or wrong.
    """
    if kind.command not in file:
        return None
    own_keys = COMMANDS[kind.command].own_keys
    flags = {key: flags[key] for key in flags if key.replace("-", "_") not in own_keys}
    file = {**file, "output": flags.get("output", file.get("output"))}
    return _settings(kind, file, _flags_for(kind, flags))


def _flags_for(settings: type[Settings], flags: Json) -> Json:
    fields = settings.model_fields
    return {key: value for key, value in flags.items() if key in fields and key not in DIRECTORIES}


def _places(command: str, values: Json) -> dict[str, object]:
    """Return the directories of a command that the output of `hnmine run` implies."""
    output, shared = values["output"], values.get("index")
    if not isinstance(output, str | Path) or not str(output):
        raise UsageError("output: must be a directory's path.", fix="Write `output: runs/name`.")
    return {
        name: shared if folder == "index" and shared is not None else Path(output) / folder
        for name, folder in COMMANDS[command].places.items()
    }


def _check_keys(file: Json) -> None:
    known = _settings_of_all()
    problems = []
    for key, value in file.items():
        if _is_section(key, value):
            if not isinstance(value, Mapping):
                problems.append(f"{key}: is a section and must hold `key: value` lines.")
            elif not all(isinstance(inner, str) for inner in value):
                problems.append(f"{key}: holds a key that isn't a name.")
        elif key.replace("-", "_") not in known:
            problems.append(no_such_setting(key, known))
    if problems:
        raise UsageError("\n".join(problems), fix="`hnmine run --help-all` lists all settings.")


def read_config(config: Path | Mapping[str, object] | None, recipe: str | None = None) -> Json:
    """Return the settings of a file; where it leaves one out, those of a recipe.

    Args:
        config: the file, or what it holds.
        recipe: its name.

    Raises:
        MissingModel: the package that adds the recipe cannot be imported.
        UsageError: see `read_yaml`; or there is no such recipe.
    """
    given = read_yaml(_no_recipe(config)) if isinstance(config, Path) else dict(config or {})
    return _over(given, read_yaml(recipe_file(recipe))) if recipe else given


def _over(given: Json, recipe: Json) -> Json:
    """Return a recipe's sections below what is given, by the section or for all commands."""
    below = {}
    for command, settings in recipe.items():
        own = _section(given, command)
        known = by_name({**given, **own})
        kept = {k: v for k, v in settings.items() if k.replace("-", "_") not in known}
        below[command] = {**kept, **own}
    return {**given, **below}


def _no_recipe(config: Path) -> Path:
    """Return the path of a configuration, unless it can only mean a recipe."""
    if not config.is_file() and str(config) in RECIPES:
        raise UsageError(
            f"Cannot read {config}.", why="There is no such file.", fix=f"Pass --recipe {config}."
        )
    return config
