"""Read what a run has finished: its manifest, and whether all that it wrote is still there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hnmine.errors import InputError
from hnmine.runner.recorded_outputs import MANIFEST, RUN, changes, markers_of, outputs_of, read_json
from hnmine.runner.safe_paths import check_plain
from hnmine.runner.storage import fetch_run
from hnmine.runner.urls import beside, mirror, public_url, split_url
from hnmine.schema import STATE, VERSION


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
    check_plain(path)
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
    if version_of(manifest) > VERSION:
        raise InputError(
            f"{path} was written by a newer hnmine.",
            why=f"Its layout is version {version_of(manifest):g}, this one knows {VERSION}.",
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


def version_of(manifest: Mapping[str, Any]) -> float:
    """Return the version of the layout that a manifest or a plan describes."""
    version = manifest.get("schema_version", VERSION)
    return version if isinstance(version, int | float) else float("inf")


def damage(path: Path, *, untouched_too: bool = False) -> str:
    """Say which output of a finished directory is not what was written; empty if none.

    A copy without the hidden folder is taken as it is.

    Args:
        path: the directory.
        untouched_too: compare the content even of files that were not modified since.

    Raises:
        InputError: a marker is damaged, or names an output outside the directory.
    """
    for marker in markers_of(path):
        outputs = outputs_of(path, marker)
        if outputs is None:
            return f"{marker} holds no JSON object."
        for output in (one for one in outputs if one.lasting):
            if found := changes(output.path, output.recorded, untouched_too=untouched_too):
                return f"{output.name} {found}"
    return ""


def place_named(directory: Path, what: str) -> Path | None:
    """Return where `run.json` of a directory says that another directory is; None if it doesn't.

    Args:
        directory: a finished directory, which somebody else may have made.
        what: `index`, `candidates` or `previous`.

    Raises:
        InputError: it names a URL that is neither the user's nor beside the directory.
    """
    file = directory / RUN
    named = (read_json(file) or {}).get(what)
    if not isinstance(named, str) or not named:
        return None
    url = split_url(named)
    if url and url[0] != "file":
        followed = beside(directory, named)
        if followed is None:
            raise InputError(
                f"{file} names the URL {public_url(named)!r} as its {what}.",
                why="hnmine follows a URL only if you name it, or if it is on the same server as a "
                "directory that you name.",
                fix=f"If you trust it, pass it yourself: --{what} URL.",
            )
        return mirror(followed)
    try:
        place = mirror(named)
        place.exists()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} is damaged.",
            why=f"It names {named[:200]!r} as its {what}: {error}",
            fix=f"Pass --{what} DIR.",
        ) from error
    return place
