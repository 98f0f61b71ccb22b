"""The commands that reproduce a directory, from its manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from hnmine.config import BuildIndexSettings, FilterSettings, MineSettings, Settings
from hnmine.printable import shell, without_credentials
from hnmine.results import Json

PLACES = {"index": "runs/index", "candidates": "runs/candidates", "mined": "runs/mined"}
"""Directories in the commands: the original paths do not belong in a card."""

_LOCAL = re.compile(r"(file:)?/|~/|\.\.?(/|$)|.*/\.\.(/|$)")
"""Local paths; the name of a model on the hub or in a package does not count."""


def commands(index: Json, candidates: Json, mined: Json) -> str:
    """Return the command lines of the three stages.

    Words in capitals are the inputs. Of a local path only the last name is shown.

    Args:
        index: manifest or plan of the index.
        candidates: manifest or plan of the candidates.
        mined: manifest or plan of the mined directory.
    """
    inputs = {name: name.upper() for name in candidates["inputs"]}
    runs = [f"{name.removeprefix('run_')}.trec" for name in candidates["runs"]]
    previous = {"previous": "PREVIOUS"} if candidates["previous"] else {}
    from_index: dict[str, object] = {name: name.upper() for name in index["inputs"]}
    made: list[tuple[type[Settings], Json, dict[str, object]]] = [
        (BuildIndexSettings, index, from_index | {"index": PLACES["index"]}),
        (
            MineSettings,
            candidates,
            {"index": PLACES["index"], **inputs, "from_run": runs, **previous}
            | {"output": PLACES["candidates"]},
        ),
        (FilterSettings, mined, {"candidates": PLACES["candidates"], "output": PLACES["mined"]}),
    ]
    return "\n".join(
        command_line(kind, public(plan["settings"]), places) for kind, plan, places in made
    )


def command_line(kind: type[Settings], settings: Json, places: Mapping[str, object]) -> str:
    """Return a command with the settings that differ from their defaults.

    Args:
        kind: the settings of the command.
        settings: as a manifest records them.
        places: the paths, which a manifest does not record.
    """
    parts = [f"hnmine {kind.command}"]
    for name, field in kind.model_fields.items():
        default = field.get_default(call_default_factory=True)
        value = places.get(name, settings.get(name, default))
        if value != default:
            parts += map(shell, _flags(name.replace("_", "-"), value))
    return " \\\n    ".join(parts)


def _flags(flag: str, value: object) -> Iterator[list[str]]:
    if isinstance(value, bool):
        yield [f"--{flag}" if value else f"--no-{flag}"]
    elif isinstance(value, Mapping):
        yield from ([f"--{flag}", f"{name}={inner}"] for name, inner in value.items())
    elif isinstance(value, list | tuple):
        yield from ([f"--{flag}", str(inner)] for inner in value)
    else:
        yield [f"--{flag}", str(value)]


def public(values: Mapping[str, object]) -> Json:
    """Return a JSON object with the last name of each local path, and URLs without credentials."""
    # A prompt is text, whatever it begins with.
    return {
        name: value if name.endswith("prompt") else _public(value) for name, value in values.items()
    }


def _public(value: object) -> object:
    if isinstance(value, Mapping):
        return public(value)
    if isinstance(value, list | tuple):
        return [_public(item) for item in value]
    if not isinstance(value, str):
        return value
    return PurePath(value).name if _LOCAL.match(value) else without_credentials(value)
