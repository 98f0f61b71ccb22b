"""What a process does that takes part in a stage, whoever started it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from hnmine.config import COMMANDS
from hnmine.config.output import OutputSettings
from hnmine.encode.gate import check, use_of
from hnmine.encode.roles import Use
from hnmine.inputs.hub import HubName
from hnmine.results import StageResult
from hnmine.runner.urls import name_of, split_url

MODELS: dict[str, Use] = {
    "encoder": "encoder",
    "query_encoder": "encoder",
    "cross_encoder": "cross-encoder",
}
"""The settings that name a model, and what it is used as."""


def models_of(settings: OutputSettings) -> list[str]:
    """Return the names of the models that a stage loads."""
    models = [name for field in MODELS if (name := getattr(settings, field, None))]
    return models + _judges_of(settings)


def _judges_of(settings: OutputSettings) -> list[str]:
    judges = getattr(settings, "judge", [])
    return [name for name in judges if not (split_url(name) or Path(name).is_file())]


def check_models(stages: Iterable[OutputSettings]) -> None:
    """Check the models of all stages by their files, so that none fails after hours of the others.

    Raises:
        MissingModel: one is not here, damaged, or of no use.
        UsageError: one is of another kind, or has fewer positions than --max-length.
    """
    for settings in stages:
        named = {field: getattr(settings, field, None) for field in MODELS}
        if not getattr(settings, "dense", True):
            named.pop("encoder")
        limit = getattr(settings, "max_length", None)
        for field, model in named.items():
            if model:
                check(model, MODELS[field], limit)
        for model in _judges_of(settings):
            check(model, use_of(model), limit)


def with_absolute_paths(settings: OutputSettings) -> OutputSettings:
    """Return settings that mean the same from every working directory."""
    paths = {name: _absolute(getattr(settings, name)) for name in settings.places()}
    given = {name: getattr(settings, name, None) for name in (*MODELS, "judge")}
    models = {name: _absolute(value, there=True) for name, value in given.items() if value}
    return settings.model_copy(update=paths | models)


def _absolute(value: Any, *, there: bool = False) -> Any:
    """Make a path, or several, absolute; only what is `there`, where it may be another name."""
    if isinstance(value, list):
        return [_absolute(one, there=there) for one in value]
    if value is None or is_elsewhere(value) or (there and not Path(value).exists()):
        return value
    return type(value)(Path(value).absolute())


def is_elsewhere(value: str | Path) -> bool:
    """Tell whether a place is at a URL, or a data set on the hub."""
    on_hub = isinstance(value, str) and HubName.parse(value) is not None
    return on_hub or split_url(value) is not None


def values_for_member(
    settings: OutputSettings, number: int, count: int, threads: int
) -> dict[str, Any]:
    """Return the settings of one of `count` processes, as JSON values: its share of the tasks.

    Args:
        settings: of the whole; it may itself be a share.
        number: of the process, from 0.
        count: processes.
        threads: CPU threads of the process.
    """
    share = settings.share
    # Where a mirror is, the process knows itself, on its own machine.
    directories = {
        name: name_of(value)
        for name in settings.places()
        if isinstance(value := getattr(settings, name), Path)
    }
    values = settings.model_dump(mode="json")
    if "min_grade" not in settings.model_fields_set:
        values.pop("min_grade", None)  # Labels other than 0 and 1 need one that the user gave.
    return (
        values
        | directories
        | {
            "engine": "local",
            "workers": 1,
            "max_memory": None,
            "ray_address": None,
            "threads": threads,
            "progress": settings.progress and number == 0,
            "task": f"{share.index * count + number}/{share.of * count}",
        }
    )


def take_part(command: str, values: Mapping[str, Any]) -> StageResult:
    """Do a share of a stage; when it returns, all of the stage is done.

    Raises:
        HnmineError: see the command.
    """
    settings = COMMANDS[command].parse(values)
    name = command.replace("-", "_")
    result: StageResult = getattr(import_module(f"hnmine.stages.{name}"), name)(settings)
    return result
