"""The inputs of `hnmine run corpus.parquet pairs.parquet`: what each is, its columns say."""

from __future__ import annotations

from collections.abc import Sequence

from hnmine.commands.command import Command
from hnmine.commands.configuration import by_name
from hnmine.config import ValidateSettings
from hnmine.config.check_settings import CROSS_ENCODER, ENCODER
from hnmine.config.reading_options import InputSettings
from hnmine.runner.plan import Json

MODELS = {"encoder": ENCODER, "cross-encoder": CROSS_ENCODER}
"""What `hnmine init` writes too; they are taken if neither a file nor a flag names a model."""

OUTPUT = "runs/first"


def for_command(
    command: Command, file: Json, flags: Json, paths: Sequence[str], recipe: bool
) -> tuple[Json, Json, list[list[str]]]:
    """Return the file, the flags, and what a command takes beside its settings.

    The paths of `hnmine run` become settings; other commands that take paths get them.

    Raises:
        InputError, UsageError: see `with_inputs`.
    """
    if command.name == "run":
        return (*(with_inputs(file, flags, paths, recipe) if paths else (file, flags)), [])
    return file, flags, [list(paths)] if command.takes_paths else []


def with_inputs(file: Json, flags: Json, paths: Sequence[str], recipe: bool) -> tuple[Json, Json]:
    """Return the file and the flags of `hnmine run` with the inputs that are given by path.

    Args:
        file: what a YAML file holds.
        flags: of the command line.
        paths: of tables.
        recipe: whether a recipe says which scores are used; it needs no default cross-encoder.

    Raises:
        InputError: a path leads to no table.
        UsageError: two inputs are of one kind.
    """
    from hnmine.inputs.opening import kinds_of

    known = by_name({**file, **flags})
    reading = ValidateSettings.parse(
        {name: known[name] for name in InputSettings.model_fields if name in known}
    )
    found = kinds_of(paths, reading, known)
    first = {"output": OUTPUT}
    named = any(names_models(given) or brings_vectors(given) for given in (file, flags))
    if not named and flags.get("dense") is not False:
        first |= {"encoder": ENCODER} if recipe else MODELS
    return {**first, **file}, {**flags, **found}


def names_models(given: Json) -> bool:
    """Tell whether settings name a model that encodes or scores, at the top or in a section."""
    sections = [value for value in given.values() if isinstance(value, dict)]
    keys = {key.replace("_", "-") for part in (given, *sections) for key in part}
    return bool(keys & MODELS.keys())


def brings_vectors(given: Json) -> bool:
    """Tell whether settings name files with the documents' vectors, which may be of no text."""
    section = given.get("build-index")
    parts = (given, section if isinstance(section, dict) else {})
    return any(isinstance(part.get("vectors"), str) for part in parts)
