"""Decide what stays of a directory that another plan filled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hnmine.errors import InputError
from hnmine.runner.atomic import remove, write_text
from hnmine.runner.checkpoints import relabel
from hnmine.runner.manifest import (
    DONE,
    MANIFEST,
    PLAN,
    RUN,
    damage,
    markers_of,
    outputs_of,
    read_json,
    version_of,
)
from hnmine.runner.plan import Plan, canonical_json, differences, digest
from hnmine.runner.safe_paths import check_links, check_plain
from hnmine.runner.storage import Store, clear_run
from hnmine.schema import LEFT_OPEN, MODEL_KEYS, NEW_KEY, NOW_OPEN, NOW_SKIPS, STATE

log = logging.getLogger("hnmine")

PARTIAL = "partial"
"""The folder, in that of the state, of what unfinished tasks have computed."""

MOST_DIFFERENCES = 8
"""Differences between two plans that an error shows: it must fit on a screen."""


@dataclass(frozen=True)
class Late:
    """The last tasks of a run, which alone depend on some settings.

    Attributes:
        keys: these settings, as keys of the plan.
        tasks: names of the tasks.
        kept: names the outputs of the other tasks, for the error's advice.
    """

    keys: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    kept: str = "other outputs"

    def explains(self, changed: Sequence[str]) -> bool:
        """Tell whether plans that differ in this differ for the last tasks alone."""
        return bool(changed) and all(one.partition(": ")[0] in self.keys for one in changed)


NOTHING = Late()


def check_plan(
    path: Path, plan: Plan, overwrite: bool, *, inner: bool = False, late: Late = NOTHING
) -> None:
    """Refuse a directory that another plan filled, or clear it; then write the plan.

    Args:
        path: the directory.
        plan: what will fill it.
        overwrite: clear it.
        inner: no setting names it.
        late: where only its settings differ, the outputs of the other tasks stay.

    Raises:
        InputError: another stage wrote here, or another plan and `overwrite` is not given, or
            clearing would delete a file that hnmine did not write.
    """
    saved = path / PLAN
    if saved.exists():
        old = read_json(saved)
        changed = differences(old, plan) if old else _foreign_markers(path, plan)
        if old and not changed:
            return
        if old and old.get("stage") != plan.get("stage"):
            raise InputError(
                f"{path} is a directory of the stage {old.get('stage')}, and stays as it is.",
                why=f"This command would write the stage {plan.get('stage')} there.",
                fix="Choose another directory.",
            )
        finished = (path / MANIFEST).exists()
        # The precision of a model is compared by itself.
        matters = [one for one in changed if one != NOW_OPEN]
        # Finished tasks read no bad row, so skipping bad rows would have written the same.
        same = not matters or (matters == [NOW_SKIPS] and not finished)
        kept = old is not None and (same or late.explains(matters))
        refused = bool(matters) if finished else bool(markers_of(path)) and not kept
        if changed and refused and not overwrite:
            fix = f"{how_anew(inner)} to write it again, or restore those settings to resume"
            fix += "." if inner else ", or choose another directory."
            if kept:
                fix = f"Pass --overwrite: {late.kept} stay. Or choose another directory."
            raise other_plan(path, changed, fix)
        if old and kept:
            _hand_on(path, old, plan, NOTHING if same else late)
        elif changed:
            clear_run(path)
    write_text(saved, canonical_json(plan))


def how_anew(inner: bool) -> str:
    """Say how to rewrite a directory; no flag does that for one inside another run's."""
    return "Remove it" if inner else "Pass --overwrite"


def other_plan(path: Path, changed: list[str], fix: str) -> InputError:
    """Return the error that shows how the plan of a directory differs from the wanted one."""
    more = len(changed) - MOST_DIFFERENCES
    shown = changed[:MOST_DIFFERENCES] + [f"and {more} more"] * (more > 0)
    versions_alone = all(one.startswith("libraries.") for one in changed)
    return InputError(
        f"{path} was begun with other versions of libraries, and is not finished."
        if versions_alone
        else f"{path} was written by a run with another plan.",
        why="Differences (there -> now):\n  " + "\n  ".join(shown),
        fix=fix,
    )


def _foreign_markers(path: Path, plan: Plan) -> list[str]:
    """Say whether tasks of another plan are done here, where the plan cannot be read."""
    done = [read_json(file) or {} for file in markers_of(path)]
    foreign = sum(marker.get("plan", digest(plan)) != digest(plan) for marker in done)
    return [f"plan.json: damaged, and {foreign} tasks of another plan"] * (foreign > 0)


def _hand_on(path: Path, old: Plan, new: Plan, late: Late) -> None:
    """Mark finished tasks as done for another plan, and delete outputs of the last tasks.

    A kill at any point loses no more than that.
    """
    store = Store.behind(path)

    def delete(name: str) -> None:
        remove(path / name)
        if store:
            store.delete(name)

    check_plain(path / STATE, links=False)
    before, after = digest(old), digest(new)
    for name in (MANIFEST, RUN):
        delete(name)
    for file in markers_of(path):
        name, marker = f"{DONE}/{file.name}", read_json(file) or {}
        if file.stem in late.tasks:
            for output in outputs_of(path, file) or []:
                check_links(path, output.path)
                delete(output.name)
            delete(name)
        elif marker.get("plan") == before:
            text = canonical_json({**marker, "plan": after})
            if store:
                store.write(name, text)
            write_text(file, text, path / STATE)
    for task in late.tasks:
        remove(path / STATE / PARTIAL / task)
    relabel(path / STATE / PARTIAL, before, after)


def as_finished(path: Path, plan: Plan, *, inner: bool, whole: bool, say: bool) -> Plan | None:
    """Return the plan of a finished directory that differs from `plan` in versions alone.

    Where no setting says how a model runs, that may differ too, as on another machine.

    Args:
        path: the directory.
        plan: what would fill it now.
        inner: no setting names the directory.
        whole: check that none of it is missing.
        say: log which versions made it.

    Returns:
        None where the directory is not finished, the plans agree, or they differ in more.

    Raises:
        InputError: part of it is missing or damaged; other versions may not give the same bytes.
    """
    made = read_json(path / MANIFEST) or {}
    finished = made.pop("counts", None) is not None
    changed = differences(made, plan)
    if not (finished and changed and version_of(made) <= version_of(plan)):
        return None
    if not all(map(_decider(plan), changed)):
        return None
    # A library that the stage no longer uses is no other version.
    shown = [one for one in changed if not one.endswith("-> absent") and one != NOW_OPEN]
    listed, anew = "\n  ".join(shown), how_anew(inner)
    if whole and (damaged := damage(path, untouched_too=True)):
        if changed == [NOW_OPEN]:  # The same versions repair it.
            return None
        raise InputError(
            f"{path} is damaged, and was made with other versions of libraries.",
            why=f"{damaged} Versions (there -> now):\n  {listed}",
            fix=f"{anew} to write it again, or install those versions to repair it.",
        )
    if shown and say:
        log.warning(
            f"{path} was made with other versions, and is used as it is. {anew} to write it "
            f"again. Versions (there -> now):\n  {listed}"
        )
    return made


def _decider(plan: Plan) -> Callable[[str], bool]:
    """Return a test for differences that depend only on what is installed or attached."""
    settings = plan.get("settings")
    given = settings if isinstance(settings, Mapping) else {}
    left_open = {name for name in LEFT_OPEN if given.get(name) in ("auto", None)}

    def installed(difference: str) -> bool:
        first, *inside = difference.partition(": ")[0].split(".")
        if first in MODEL_KEYS:
            return bool(inside) and inside[-1] in left_open
        newer = difference == NOW_OPEN or difference.startswith(f"{NEW_KEY}: absent -> ")
        return newer or first in ("libraries", "schema_version")

    return installed
