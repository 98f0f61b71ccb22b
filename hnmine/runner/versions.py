"""Finished directories that were made with what is not installed now: inputs like any other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from hnmine.errors import InputError
from hnmine.runner.manifest import MANIFEST, damage, read_json, version_of
from hnmine.runner.plan import Plan, differences
from hnmine.runner.preflight import how_anew

log = logging.getLogger("hnmine")

MODELS = ("encoder", "judges")
LEFT_OPEN = ("backend", "batch_tokens", "device", "dtype", "max_length")
"""How a model runs; where no setting says it, what is installed or attached decides."""


def as_finished(path: Path, plan: Plan, *, inner: bool, whole: bool, say: bool) -> Plan | None:
    """Return the plan of a finished directory that differs from `plan` in versions alone.

    Where no setting says how a model runs, that may differ too, as on another machine.

    Args:
        path: the directory.
        plan: what would fill it now.
        inner: no setting names the directory.
        whole: check that all of it is still there.
        say: tell which versions made it.

    Returns:
        None where the directory is not finished, the plans agree, or they differ in more.

    Raises:
        InputError: part of it is missing or damaged. Only the versions that made it could make that
            part again; others might not give the same bytes.
    """
    made = read_json(path / MANIFEST) or {}
    finished = made.pop("counts", None) is not None
    changed = differences(made, plan)
    if not (finished and changed and version_of(made) <= version_of(plan)):
        return None
    if not all(map(_decider(plan), changed)):
        return None
    # A library that the stage does not use any more is no other version.
    changed = [one for one in changed if not one.endswith("-> absent")]
    listed, anew = "\n  ".join(changed), how_anew(inner)
    if whole and (damaged := damage(path, untouched_too=True)):
        raise InputError(
            f"{path} is damaged, and was made with other versions of libraries.",
            why=f"{damaged} The versions (there -> now):\n  {listed}",
            fix=f"{anew} to have it made anew, or install those versions to repair it.",
        )
    if changed and say:
        log.warning(
            f"{path} was made with other versions, and is used as it is. {anew} to have it made "
            f"anew. The versions (there -> now):\n  {listed}"
        )
    return made


def _decider(plan: Plan) -> Callable[[str], bool]:
    """Return what tells whether a difference is due to what is installed or attached alone."""
    settings = plan.get("settings")
    given = settings if isinstance(settings, Mapping) else {}
    left_open = {name for name in LEFT_OPEN if given.get(name) in ("auto", None)}

    def installed(difference: str) -> bool:
        first, *inside = difference.partition(": ")[0].split(".")
        if first in MODELS:
            return bool(inside) and inside[-1] in left_open
        # Earlier versions did not record the sources of a mined directory.
        newer = difference.startswith("sources: absent -> ")
        return newer or first in ("libraries", "schema_version")

    return installed
