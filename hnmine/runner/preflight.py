"""What is checked before a run writes: the place, the plan of what is there, its content."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hnmine.errors import InputError
from hnmine.runner import incidents, interrupts
from hnmine.runner.atomic import remove, write_text
from hnmine.runner.late_settings import NOTHING, Late, hand_on
from hnmine.runner.manifest import (
    CLAIMED,
    MANIFEST,
    PLAN,
    changes,
    markers_of,
    outputs_of,
    read_json,
)
from hnmine.runner.plan import Plan, canonical_json, differences, digest
from hnmine.runner.safe_paths import check_links, check_plain
from hnmine.runner.storage import clear_run
from hnmine.schema import STATE

NOW_SKIPS = 'settings.on_bad_row: "error" -> "skip"'
"""The difference between two plans after which what was finished is what would be written."""

MOST_DIFFERENCES = 8
"""Differences between two plans that an error shows: it must fit on a screen."""


def check_place(path: Path) -> None:
    """Refuse a path that no directory of hnmine's can have.

    Raises:
        InputError: it is no UTF-8, a file, or somebody else's directory.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"The path {str(path)!r} is not UTF-8.",
            why="Arrow cannot open such files.",
            fix="Choose another path, or change to that directory and give a relative one.",
        ) from error
    if path.exists() and not path.is_dir():
        raise InputError(
            f"{path} is a file, not a directory.",
            why="hnmine writes a directory of files.",
            fix="Choose another path.",
        )
    check_plain(path / STATE, links=False)
    # In this order, as another process may be making it.
    if path.exists() and any(path.iterdir()) and not (path / STATE).exists():
        raise InputError(
            f"{path} is not empty and was not written by hnmine.",
            why="hnmine writes only into a directory that is new, empty or its own.",
            fix="Choose another directory.",
        )


def check_plan(
    path: Path, plan: Plan, overwrite: bool, *, inner: bool = False, late: Late = NOTHING
) -> None:
    """Refuse a directory that another plan filled, or clear it; then write the plan down.

    Args:
        path: the directory.
        plan: what will fill it.
        overwrite: clear it.
        inner: no setting names it.
        late: what only its last tasks depend on: where nothing else differs, the rest is kept.

    Raises:
        InputError: another stage wrote here, or another plan and `overwrite` is not given, or
            something that hnmine did not write would be deleted.
    """
    saved = path / PLAN
    if saved.exists():
        old = read_json(saved)
        changed = differences(old, plan) if old else _foreign_markers(path, plan)
        if old and not changed:
            return
        if old and old.get("stage") != plan.get("stage"):
            raise InputError(
                f"{path} is a directory of the stage {old.get('stage')}, and is kept.",
                why=f"Here the stage {plan.get('stage')} would write.",
                fix="Choose another directory.",
            )
        finished = (path / MANIFEST).exists()
        kept = old is not None and late.explains(changed)
        if changed and (finished or (markers_of(path) and not kept)) and not overwrite:
            fix = f"{how_anew(inner)} to have it made anew, or bring back what differs to resume"
            fix += "." if inner else ", or choose another directory."
            if kept:
                fix = (
                    "Pass --overwrite: what does not depend on it is kept, the vectors among it. "
                    "Or choose another directory."
                )
            raise other_plan(path, changed, fix)
        if changed and old and kept:
            hand_on(path, old, plan, late)
        elif changed:
            clear_run(path)
    write_text(saved, canonical_json(plan))


def let_skip(path: Path, plan: Plan) -> None:
    """Let an unfinished run go on that stopped at a bad row, and may now skip it.

    What its finished tasks read had no bad row, so skipping would have written the same.

    Args:
        path: the directory.
        plan: what will fill it.
    """
    old = read_json(path / PLAN)
    if not old or (path / MANIFEST).exists() or differences(old, plan) != [NOW_SKIPS]:
        return
    for file in markers_of(path):
        marker = read_json(file) or {}
        if marker.get("plan") == digest(old):
            write_text(file, canonical_json(marker | {"plan": digest(plan)}))
    write_text(path / PLAN, canonical_json(plan))


def how_anew(inner: bool) -> str:
    """Say how to have a directory made anew; no flag does that for one inside another run's."""
    return "Remove it" if inner else "Pass --overwrite"


def other_plan(path: Path, changed: list[str], fix: str) -> InputError:
    """Say how the plan that filled a directory differs from the one that would."""
    more = len(changed) - MOST_DIFFERENCES
    shown = changed[:MOST_DIFFERENCES] + [f"and {more} more"] * (more > 0)
    versions_alone = all(one.startswith("libraries.") for one in changed)
    return InputError(
        f"{path} was begun with other versions of libraries, and is not finished."
        if versions_alone
        else f"{path} was written by a run with another plan.",
        why="What differs (there -> now):\n  " + "\n  ".join(shown),
        fix=fix,
    )


def _foreign_markers(path: Path, plan: Plan) -> list[str]:
    """Say whether tasks of another plan are done here, where the plan itself cannot be read."""
    done = [read_json(file) or {} for file in markers_of(path)]
    foreign = sum(marker.get("plan", digest(plan)) != digest(plan) for marker in done)
    return [f"plan.json: damaged, and {foreign} tasks of another plan"] * (foreign > 0)


def check_outputs(path: Path, *, progress: bool) -> None:
    """Compare all that earlier runs wrote with its checksums; throw away what differs."""
    markers = markers_of(path)
    with progress_bar("check what is there", "tasks", len(markers), 0, progress) as bar:
        for file in markers:
            for output in outputs_of(path, file) or []:
                there = output.path
                found = there.exists() and changes(there, output.recorded, untouched_too=True)
                if found:
                    check_links(path, there)
                    incidents.note(f"{there} {found} It is made again.")
                    remove(there)
            bar.update(1)
            interrupts.check()


def claim(root: Path, name: str, outputs: Iterable[str]) -> None:
    """Note in a run's directory that hnmine writes some files there, beside those of its tasks."""
    if (root / STATE).is_dir():
        check_plain(root / STATE, links=False)
        file = root / CLAIMED / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        write_text(file, claim_of(outputs), root / STATE)


def claim_of(outputs: Iterable[str]) -> str:
    """Return the text of a claim: files that hnmine is about to write.

    So what a process wrote just before it was killed is known as hnmine's.
    """
    return canonical_json({"outputs": dict.fromkeys(outputs)})


def progress_bar(stage: str, unit: str, total: int, initial: int, wanted: bool) -> tqdm[Any]:
    """Return a progress bar, shown where there is something to do and somebody to look."""
    shown = wanted and initial < total and sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        desc=stage,
        unit=f" {unit}",
        unit_scale=True,
        smoothing=0.1,
        file=sys.stderr,
        disable=not shown,
    )
