"""Read the files of a finished directory that say what it is and what it was made from."""

from __future__ import annotations

from pathlib import Path

from hnmine.errors import InputError, did_you_mean
from hnmine.results import Json
from hnmine.runner.manifest import MANIFEST, RUN, damage, read_json, version_of
from hnmine.runner.safe_paths import check_plain
from hnmine.runner.storage import fetch_run
from hnmine.runner.urls import beside, mirror, public_url, split_url
from hnmine.schema import STATE, VERSION

LONGEST_STAGE = 40
"""Characters of a stage's name; a longer one is damage."""


def read_manifest(path: Path, stage: str, command: str) -> Json:
    """Read the manifest of a finished directory.

    Args:
        path: a directory that hnmine wrote.
        stage: what must have written it: `index`, `candidates` or `mined`.
        command: the command that writes such a directory, for the error's advice.

    Raises:
        InputError: the directory is missing, not finished, or of another stage or schema.
    """
    fetch_run(path)
    check_plain(path)
    file = path / MANIFEST
    if not file.exists():
        raise _no_manifest(path, stage, command)
    manifest = read_json(file)
    if manifest is None:
        raise InputError(
            f"{file} is damaged.",
            why="It holds no JSON object.",
            fix=f"Run the same `hnmine {command}` again: it rewrites the file.",
        )
    if version_of(manifest) > VERSION:
        raise InputError(
            f"{path} was written by a newer hnmine.",
            why=f"Its layout is version {version_of(manifest):g}; this hnmine reads {VERSION}.",
            fix="Upgrade hnmine.",
        )
    found = manifest.get("stage")
    if not isinstance(found, str) or len(found) > LONGEST_STAGE:
        raise InputError(
            f"{file} is damaged.",
            why="It does not say which command wrote the directory.",
            fix=f"Run the same `hnmine {command}` again: it rewrites the file.",
        )
    if found != stage:
        raise InputError(
            f"{path} is {_of_stage(found)}, not {_of_stage(stage)}.",
            fix=_other(path.parent, stage) or f"Give a directory that `hnmine {command}` wrote.",
        )
    if damaged := damage(path):
        raise InputError(
            f"{path} is damaged.",
            why=damaged,
            fix=f"Run the same `hnmine {command}` again: it rewrites what is missing.",
        )
    return manifest


def _no_manifest(path: Path, stage: str, command: str) -> InputError:
    """Return the error for a directory without a manifest."""
    if not path.exists():
        names = [one.name for one in path.parent.glob("*") if one.is_dir()]
        near = did_you_mean(path.name, names, shown=lambda one: str(path.with_name(one)))
        return InputError(
            f"There is no directory {path}.",
            fix=f"{near} `hnmine {command}` writes {_of_stage(stage)}.".strip(),
        )
    unfinished = (path / STATE).exists()
    when = "again; it resumes where it left off" if unfinished else "first"
    return InputError(
        f"{path} is not a finished {stage} directory.",
        why="The run that writes it has not ended." if unfinished else f"It has no {MANIFEST}.",
        fix=(not unfinished and _other(path, stage)) or f"Run `hnmine {command}` {when}.",
    )


def _of_stage(stage: str) -> str:
    return f"{'an' if stage == 'index' else 'a'} {stage} directory"


def _other(folder: Path, stage: str) -> str:
    """Name the directory of a stage in the output of `hnmine run`; empty if there is none."""
    inside = folder / stage
    return f"Did you mean {inside}?" if (inside / MANIFEST).is_file() else ""


def place_named(directory: Path, what: str) -> Path | None:
    """Return the place of another directory by `run.json` of a finished one; None if not named.

    Args:
        directory: may come from someone else.
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
