"""The commands that make a directory again, from what its manifests say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from hnmine.config import BuildIndexSettings, FilterSettings, MineSettings
from hnmine.printable import shell, without_credentials

PLACES = {"index": "runs/index", "candidates": "runs/candidates", "mined": "runs/mined"}
"""Where the commands put what they write: where it stood does not belong in a card."""

Manifest = Mapping[str, Any]

_LOCAL = re.compile(r"(file:)?/|~/|\.\.?(/|$)|.*/\.\.(/|$)")
"""Paths that tell of somebody's machine; a hub's name, or a package's, is none."""


def commands(index: Manifest, candidates: Manifest, mined: Manifest) -> str:
    """Return the three command lines; inputs, of which manifests hold the content, are named so.

    No local path is in them: of a model or a file that stands at one, its name is enough.

    Args:
        index: manifest, or plan, of the index.
        candidates: of the candidates.
        mined: of the mined directory.
    """
    inputs = {name: name.upper() for name in candidates["inputs"]}
    runs = [f"{name.removeprefix('run_')}.trec" for name in candidates["runs"]]
    previous = {"previous": "PREVIOUS"} if candidates["previous"] else {}
    made = [
        (
            BuildIndexSettings,
            index,
            {name: name.upper() for name in index["inputs"]} | {"index": PLACES["index"]},
        ),
        (
            MineSettings,
            candidates,
            {"index": PLACES["index"], **inputs, "from_run": runs, **previous}
            | {"output": PLACES["candidates"]},
        ),
        (
            FilterSettings,
            mined,
            {"candidates": PLACES["candidates"], "output": PLACES["mined"]},
        ),
    ]
    return "\n".join(
        command_line(kind, public(plan["settings"]), places) for kind, plan, places in made
    )


def command_line(kind: Any, settings: Mapping[str, Any], places: Mapping[str, Any]) -> str:
    """Return a command with what differs from the defaults.

    Args:
        kind: the settings' model.
        settings: of a manifest.
        places: what a manifest does not hold: where things are.
    """
    parts = [f"hnmine {kind.command}"]
    for name, field in kind.model_fields.items():
        default = field.get_default(call_default_factory=True)
        value = places.get(name, settings.get(name, default))
        if value != default:
            parts += map(shell, _flags(name.replace("_", "-"), value))
    return " \\\n    ".join(parts)


def _flags(flag: str, value: Any) -> Iterator[list[str]]:
    if isinstance(value, bool):
        yield [f"--{flag}" if value else f"--no-{flag}"]
    elif isinstance(value, Mapping):
        yield from ([f"--{flag}", f"{name}={inner}"] for name, inner in value.items())
    elif isinstance(value, list | tuple):
        yield from ([f"--{flag}", str(inner)] for inner in value)
    else:
        yield [f"--{flag}", str(value)]


def public(value: Any) -> Any:
    """Return JSON values in which a local path is its last name, and a URL holds no credentials."""
    if isinstance(value, Mapping):
        # A prompt is text, whatever it begins with.
        return {k: v if k.endswith("prompt") else public(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [public(item) for item in value]
    if not isinstance(value, str):
        return value
    return PurePath(value).name if _LOCAL.match(value) else without_credentials(value)
