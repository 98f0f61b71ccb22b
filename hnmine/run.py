"""Run a plan's tasks in a directory: atomic outputs, markers, resume, one writer at a time."""

from __future__ import annotations

import fcntl
import json
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

from hnmine.errors import InputError, PartialRun
from hnmine.plan import Plan, Task, canonical_json, differences, digest
from hnmine.schema import VERSION

STATE = ".hnmine"
"""Hidden folder of a run: its plan, its lock, a marker for each finished task, temporary files."""

MANIFEST, RUN = "manifest.json", "run.json"

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
            InputError: the directory holds something else, or another plan's output.
            PartialRun: another process writes here.
        """
        run = cls(path, plan, progress=progress)
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
            old = json.loads(saved.read_text())
            changed = differences(old, self.plan)
            if not changed:
                return
            begun = self.complete or any((self.state / "done").glob("*.json"))
            if begun and not overwrite:
                raise InputError(
                    f"{self.path} was written by a run with another plan.",
                    why="What differs (there -> now):\n  " + "\n  ".join(changed),
                    fix="Choose another directory, or pass --overwrite to replace what is there.",
                )
            for entry in self.path.iterdir():
                if entry != self.state:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            shutil.rmtree(self.state / "done", ignore_errors=True)
        self._write(saved, canonical_json(self.plan))

    @property
    def complete(self) -> bool:
        """Tell whether the whole plan is done."""
        return (self.path / MANIFEST).exists()

    def marker(self, task: Task) -> dict[str, Any] | None:
        """Return what a finished task recorded; None if it must be done (again)."""
        path = self.state / "done" / f"{task.name}.json"
        try:
            marker: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        whole = marker.get("plan") == self.hash and all(
            (self.path / output).exists() and _size(self.path / output) == size
            for output, size in marker["outputs"].items()
        )
        return marker if whole else None

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
            desc=stage,
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
            step = min(amount, task.size - reported)
            reported += step
            tick(step)

        counts = dict(work(task, temporary, report))
        sizes = {}
        for path, output in zip(temporary, task.outputs, strict=True):
            final = self.path / output
            final.parent.mkdir(parents=True, exist_ok=True)
            _flush(path)
            if final.is_dir():
                shutil.rmtree(final)
            path.replace(final)
            sizes[output] = _size(final)
        self._write(done, canonical_json({"plan": self.hash, "outputs": sizes, "counts": counts}))
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
        self._write(self.path / RUN, canonical_json(this_run))
        self._write(self.path / MANIFEST, canonical_json(manifest))
        return manifest

    def _write(self, path: Path, text: str) -> None:
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(text)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)


def read_manifest(path: Path, stage: str, command: str) -> dict[str, Any]:
    """Read the manifest of a finished directory.

    Args:
        path: a directory that hnmine wrote.
        stage: what must have written it: `index`, `candidates` or `mined`.
        command: the command that writes such a directory, for the error's advice.

    Raises:
        InputError: the directory is not there, not finished, or of another stage or schema.
    """
    file = path / MANIFEST
    if not file.exists():
        unfinished = (path / STATE).exists()
        when = "again, it goes on where it stopped" if unfinished else "first"
        raise InputError(
            f"{path} is not a finished {stage} directory.",
            why="The run that writes it has not ended." if unfinished else "It has no manifest.",
            fix=f"Run `hnmine {command}` {when}.",
        )
    try:
        manifest: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise InputError(
            f"{file} is damaged.", why=str(error), fix=f"Run `hnmine {command}`."
        ) from error
    if manifest.get("schema_version", VERSION) > VERSION:
        raise InputError(
            f"{path} was written by a newer hnmine.",
            why=f"Its layout is version {manifest['schema_version']}, this one knows {VERSION}.",
            fix="Upgrade hnmine.",
        )
    if manifest.get("stage") != stage:
        raise InputError(
            f"{path} is a {manifest.get('stage')} directory, not {stage}.",
            fix=f"Give a directory that `hnmine {command}` wrote.",
        )
    return manifest


def manifest_hash(path: Path) -> str:
    """Hash the manifest of a finished directory; a child's plan holds it."""
    return digest(json.loads((path / MANIFEST).read_text()))


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


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*")) if path.is_dir() else [path]


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in _files(path) if file.is_file())


def _flush(path: Path) -> None:
    """Make sure that a file, or everything in a folder, is on the disk."""
    for file in {*_files(path), path}:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
