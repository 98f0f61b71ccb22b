"""Run a plan's tasks in a directory: atomic outputs, markers, resume, one writer at a time."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hnmine import interrupts
from hnmine.atomic import flush, write_text
from hnmine.errors import InputError, PartialRun
from hnmine.finished import MANIFEST, RUN, damage, files_of, read_json, size_of
from hnmine.plan import Plan, Task, canonical_json, differences, digest
from hnmine.schema import STATE

MOST_DIFFERENCES = 8
"""Differences between two plans that an error shows: it must fit on a screen."""

Counts = Mapping[str, int]
Tick = Callable[[int], None]
Work = Callable[[Task, list[Path], Tick], Counts]
"""Does a task: writes one file or folder to each path, reports progress, returns counts."""


class RunDirectory:
    """A directory that one plan fills, task by task, and that a killed run can go on with.

    Every output is written under a temporary name, flushed, renamed, and only then marked as done,
    with its size and the hash of the plan. A run does the tasks that have no valid marker.
    """

    def __init__(self, path: Path, plan: Plan, *, progress: bool = True) -> None:
        self.path, self.plan, self.progress = path, plan, progress
        self.state = path / STATE
        self.hash = digest(plan)
        self.started = time.time()

    @classmethod
    @contextmanager
    def open(
        cls, path: Path, plan: Plan, *, overwrite: bool = False, progress: bool = True
    ) -> Iterator[RunDirectory]:
        """Take hold of a directory for one plan.

        Args:
            path: made if it is not there.
            plan: what the directory will hold.
            overwrite: throw away what another plan wrote here.
            progress: show a bar for each stage, where stderr is a terminal.

        Raises:
            InputError: the path is a file, or the directory holds something else, another stage's
                output, or another plan's.
            PartialRun: another process writes here.
        """
        run = cls(path, plan, progress=progress)
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
        if path.exists() and not run.state.exists() and any(path.iterdir()):
            raise InputError(
                f"{path} is not empty and was not written by hnmine.",
                why="hnmine writes only into a directory that is new, empty or its own.",
                fix="Choose another directory.",
            )
        run.state.mkdir(parents=True, exist_ok=True)
        with _lock(run.state / "lock", path):
            run._check_plan(overwrite)
            shutil.rmtree(run.state / "tmp", ignore_errors=True)
            for folder in ("tmp", "done"):
                (run.state / folder).mkdir(exist_ok=True)
            yield run

    def _check_plan(self, overwrite: bool) -> None:
        saved = self.state / "plan.json"
        if saved.exists():
            old = read_json(saved)
            changed = differences(old, self.plan) if old else self._foreign_markers()
            if old and not changed:
                return
            if old and old.get("stage") != self.plan.get("stage"):
                raise InputError(
                    f"{self.path} is a directory of the stage {old.get('stage')}, and is kept.",
                    why=f"Here the stage {self.plan.get('stage')} would write.",
                    fix="Choose another directory.",
                )
            begun = (self.path / MANIFEST).exists() or any((self.state / "done").glob("*.json"))
            if changed and begun and not overwrite:
                more = len(changed) - MOST_DIFFERENCES
                shown = changed[:MOST_DIFFERENCES] + [f"and {more} more"] * (more > 0)
                raise InputError(
                    f"{self.path} was written by a run with another plan.",
                    why="What differs (there -> now):\n  " + "\n  ".join(shown),
                    fix="Choose another directory, or pass --overwrite to replace what is there.",
                )
            if changed:
                for entry in self.path.iterdir():
                    if entry != self.state:
                        shutil.rmtree(entry) if _is_folder(entry) else entry.unlink()
                shutil.rmtree(self.state / "done", ignore_errors=True)
        write_text(saved, canonical_json(self.plan))

    def _foreign_markers(self) -> list[str]:
        """Say whether tasks of another plan are done here, where the plan itself cannot be read."""
        done = [read_json(file) or {} for file in (self.state / "done").glob("*.json")]
        foreign = sum(marker.get("plan", self.hash) != self.hash for marker in done)
        return [f"plan.json: damaged, and {foreign} tasks of another plan"] * (foreign > 0)

    @property
    def manifest(self) -> dict[str, Any]:
        """What `finish` wrote; empty before."""
        return read_json(self.path / MANIFEST) or {}

    @property
    def complete(self) -> bool:
        """Tell whether the whole plan is done, and all of it is still there."""
        manifest = self.manifest
        counts = manifest.pop("counts", None)
        return counts is not None and not differences(manifest, self.plan) and not damage(self.path)

    def marker(self, task: Task) -> dict[str, Any] | None:
        """Return what a finished task recorded; None if it must be done (again)."""
        marker = read_json(self.state / "done" / f"{task.name}.json") or {}
        outputs = marker.get("outputs", {})
        whole = (
            marker.get("plan") == self.hash
            and "counts" in marker
            and all(
                output in outputs and size_of(self.path / output) == outputs[output]
                for output in task.outputs
            )
        )
        return marker if whole else None

    def missing(self, task: Task) -> bool:
        """Tell whether a task must be done (again)."""
        return self.marker(task) is None

    def run(self, stage: str, unit: str, tasks: Sequence[Task], work: Work) -> Counter[str]:
        """Do the tasks that are not done, in order, and return the counts of all of them.

        Args:
            stage: what the progress bar says.
            unit: what a task's size counts.
            tasks: with names that are unique in this directory.
            work: called for each task that has no valid marker.
        """
        counts: Counter[str] = Counter()
        todo = []
        for task in tasks:
            marker = self.marker(task)
            if marker is None:
                todo.append(task)
            else:
                counts.update(marker["counts"])
        total = sum(task.size for task in tasks)
        with tqdm(
            total=total,
            initial=total - sum(task.size for task in todo),
            desc=f"{self.plan['stage']}: {stage}" if "stage" in self.plan else stage,
            unit=f" {unit}",
            unit_scale=True,
            smoothing=0.1,
            file=sys.stderr,
            disable=not (self.progress and todo and sys.stderr.isatty()),
        ) as bar:
            for task in todo:
                counts.update(self._do(task, work, bar.update))
        return counts

    def _do(self, task: Task, work: Work, tick: Callable[[int], object]) -> Counts:
        temporary = [self.state / "tmp" / f"{task.name}.{n}" for n in range(len(task.outputs))]
        done = self.state / "done" / f"{task.name}.json"
        done.unlink(missing_ok=True)
        reported = 0

        def report(amount: int) -> None:
            nonlocal reported
            interrupts.check()
            step = min(amount, task.size - reported)
            reported += step
            tick(step)

        counts = dict(work(task, temporary, report))
        sizes = {}
        for path, output in zip(temporary, task.outputs, strict=True):
            final = self.path / output
            final.parent.mkdir(parents=True, exist_ok=True)
            _flush(path)
            if _is_folder(final):
                shutil.rmtree(final)
            path.replace(final)
            sizes[output] = size_of(final)
        write_text(done, canonical_json({"plan": self.hash, "outputs": sizes, "counts": counts}))
        report(task.size)
        return counts

    def finish(self, counts: Mapping[str, Any], **about_this_run: object) -> dict[str, Any]:
        """Write the manifest, the same for the same plan, and what is true of this run only."""
        manifest = {**self.plan, "counts": dict(counts)}
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        this_run = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 3),
            "peak_memory_bytes": usage * (1 if sys.platform == "darwin" else 1024),
            "host": socket.gethostname(),
            "command": sys.argv,
            **about_this_run,
        }
        write_text(self.path / RUN, canonical_json(this_run))
        write_text(self.path / MANIFEST, canonical_json(manifest))
        return manifest


@contextmanager
def _lock(path: Path, directory: Path) -> Iterator[None]:
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise PartialRun(
                f"Another run writes to {directory}.",
                why=f"It is {file.read().strip() or 'a process that has just started'}.",
                fix="Wait for it, stop it, or choose another directory.",
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _flush(path: Path) -> None:
    """Make sure that a file, or everything in a folder, is on the disk."""
    for file in {*files_of(path), path}:
        flush(file)
