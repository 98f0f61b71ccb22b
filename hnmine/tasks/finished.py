"""Read what a run has finished: its manifest, and whether all that it wrote is still there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hnmine.errors import InputError
from hnmine.schema import STATE, VERSION
from hnmine.tasks.storage import fetch_run
from hnmine.tasks.written import MANIFEST, changes, lasting_outputs, markers_of, read_json


def read_manifest(path: Path, stage: str, command: str) -> dict[str, Any]:
    """Read the manifest of a finished directory.

    Args:
        path: a directory that hnmine wrote.
        stage: what must have written it: `index`, `candidates` or `mined`.
        command: the command that writes such a directory, for the error's advice.

    Raises:
        InputError: the directory is not there, not finished, or of another stage or schema.
    """
    fetch_run(path)
    file = path / MANIFEST
    if not file.exists():
        unfinished = (path / STATE).exists()
        when = "again, it goes on where it stopped" if unfinished else "first"
        raise InputError(
            f"{path} is not a finished {stage} directory.",
            why="The run that writes it has not ended." if unfinished else "It has no manifest.",
            fix=f"Run `hnmine {command}` {when}.",
        )
    manifest = read_json(file)
    if manifest is None:
        raise InputError(
            f"{file} is damaged.",
            why="It holds no JSON object.",
            fix=f"Run the same `hnmine {command}` again: it writes the file anew.",
        )
    if _version(manifest) > VERSION:
        raise InputError(
            f"{path} was written by a newer hnmine.",
            why=f"Its layout is version {_version(manifest):g}, this one knows {VERSION}.",
            fix="Upgrade hnmine.",
        )
    if manifest.get("stage") != stage:
        raise InputError(
            f"{path} is a {manifest.get('stage')} directory, not {stage}.",
            fix=f"Give a directory that `hnmine {command}` wrote.",
        )
    if damaged := damage(path):
        raise InputError(
            f"{path} is damaged.",
            why=damaged,
            fix=f"Run the same `hnmine {command}` again: it makes anew what is missing.",
        )
    return manifest


def _version(manifest: Mapping[str, Any]) -> float:
    version = manifest.get("schema_version", VERSION)
    return version if isinstance(version, int | float) else float("inf")


def damage(path: Path) -> str:
    """Say which output of a finished directory is not what was written; empty if none.

    Content is looked at where a file was touched since. A copy without the hidden folder is taken
    as it is.
    """
    for done in markers_of(path):
        marker = read_json(done)
        if marker is None:
            return f"{done} holds no JSON object."
        for output, recorded in lasting_outputs(marker):
            if found := changes(path / output, recorded):
                return f"{output} {found}"
    return ""
