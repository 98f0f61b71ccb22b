"""Run a plan's tasks in a directory: atomic outputs, markers, resume, one writer or several."""

from __future__ import annotations

import resource
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path

from hnmine.printable import redacted
from hnmine.progress import progress_bar
from hnmine.runner import device_use, incidents, interrupts
from hnmine.runner.atomic import flush, flush_all, is_folder, remove, write_text
from hnmine.runner.checkpoints import Partial
from hnmine.runner.locks import DirectoryLock, one_at_a_time
from hnmine.runner.manifest import (
    CLAIMED,
    DONE,
    MANIFEST,
    PLAN,
    RUN,
    damage,
    is_done,
    markers_of,
    read_json,
    record,
)
from hnmine.runner.plan import Json, Plan, Task, canonical_json, differences, digest
from hnmine.runner.plan_changes import (
    NOTHING,
    PARTIAL,
    Late,
    as_finished,
    check_plan,
    other_plan,
)
from hnmine.runner.preflight import check_outputs, check_place, claim_of
from hnmine.runner.safe_paths import check_links
from hnmine.runner.storage import Store
from hnmine.runner.task_share import ALONE, Share
from hnmine.schema import STATE

LOOK_AGAIN = 0.2
"""Seconds between two looks at tasks that other processes do."""

Counts = Mapping[str, int]
Tick = Callable[[int], None]
Work = Callable[[Task, list[Path], Tick], Counts]
"""Does a task: writes a file or folder to each path, reports progress, returns counts."""


class RunDirectory:
    """A directory that one plan fills task by task, and that a killed run resumes.

    Every output is written under a temporary name, flushed, renamed, and only then marked as done,
    with its size, its checksum and the hash of the plan. A run does the tasks without a valid
    marker.
    """

    _lock: DirectoryLock

    def __init__(
        self, path: Path, plan: Plan, *, progress: bool = True, share: Share = ALONE
    ) -> None:
        self.path, self.plan, self.progress, self.share = path, plan, progress, share
        self.state = path / STATE
        self.store = Store.behind(path)
        self.hash = digest(plan)
        self.started = time.time()
        self.seconds: dict[str, float] = {}
        self._partial: Partial | None = None

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        plan: Plan,
        *,
        overwrite: bool = False,
        progress: bool = True,
        share: Share = ALONE,
        passing: Sequence[str] = (),
        late: Late = NOTHING,
        inner: bool = False,
    ) -> Iterator[RunDirectory]:
        """Lock a directory for one plan.

        Args:
            path: created if it is missing.
            plan: describes the content of the directory.
            overwrite: delete what another plan wrote here.
            progress: show how far each step is.
            share: the part of this process in the run.
            passing: folders in it that are deleted once the run is done.
            late: settings of the last tasks alone; see `check_plan`.
            inner: no setting names the directory, as it stands in that of another run.

        Raises:
            InputError: the path is a file, or the directory holds other files, or the output of
                another stage or plan.
            PartialRun: another process writes here.
        """
        run = cls(path, plan, progress=progress, share=share)
        check_place(path)
        run.state.mkdir(parents=True, exist_ok=True)
        door = one_at_a_time(run.state) if share.together else nullcontext()
        with ExitStack() as held:
            with door:
                lock = DirectoryLock(run.state, path, together=share.together)
                run._lock = held.enter_context(closing(lock))
                run._prepare(overwrite, inner, late)
            yield run
            run._keep_incidents()
            with one_at_a_time(run.state):
                if passing and (run.path / MANIFEST).exists() and lock.is_last():
                    for folder in passing:
                        shutil.rmtree(run.path / folder, ignore_errors=True)
                        # Machines that share the run may still read it, unseen from here.
                        if run.store and not share.together:
                            run.store.delete(folder)

    def _prepare(self, overwrite: bool, inner: bool, late: Late) -> None:
        """Check and clear the directory, unless others use it."""
        if self.store:
            self.store.check_place()
            self.store.fetch_state(alone=self._lock.alone)
        how = {"inner": inner, "whole": self.store is None, "say": self.share.index == 0}
        finished = None if overwrite else as_finished(self.path, self.plan, **how)
        if finished:
            self.plan, self.hash = finished, digest(finished)
        if not self._lock.alone:
            if changed := differences(read_json(self.path / PLAN) or {}, self.plan):
                raise other_plan(self.path, changed, "Choose another directory, or wait.")
            return
        if not finished:
            before = read_json(self.path / PLAN)
            check_plan(self.path, self.plan, overwrite, inner=inner, late=late)
            if self.store and before != read_json(self.path / PLAN):
                self.store.put(PLAN)
            check_outputs(self.path, progress=self.progress)
        shutil.rmtree(self.state / "tmp", ignore_errors=True)
        for folder in (self.state / "tmp", self.path / DONE, self.path / CLAIMED):
            folder.mkdir(exist_ok=True)
        if self.share.together:
            self._lock.let_others_in()

    @property
    def manifest(self) -> Json:
        """The manifest that `finish` wrote; empty before."""
        return read_json(self.path / MANIFEST) or {}

    @property
    def complete(self) -> bool:
        """Whether the whole plan is done, and no output is missing."""
        manifest = self.manifest
        counts = manifest.pop("counts", None)
        as_planned = counts is not None and not differences(manifest, self.plan)
        # A mirror may lack outputs: their readers fetch and check them.
        return as_planned and (self.store is not None or not damage(self.path))

    def marker(self, task: Task) -> Json | None:
        """Return the marker of a finished task; None if the task must be done (again)."""
        marker = read_json(self.path / DONE / f"{task.name}.json") or {}
        here = None if self.store else self.path
        return marker if is_done(marker, self.hash, task.outputs, here) else None

    def missing(self, task: Task) -> bool:
        """Tell whether a task must be done (again)."""
        return self.marker(task) is None

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Let one process at a time enter; the others wait."""
        with self._lock.task(name, wait=True):
            yield

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Record the time of a step of this run."""
        begun = time.time()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.time() - begun

    def run(
        self, stage: str, unit: str, tasks: Sequence[Task], work: Work, *, passed_on: bool = True
    ) -> Counter[str]:
        """Do the unfinished tasks, and return the counts of all tasks.

        Processes that share the run each do tasks that no other does, and return when all are done.

        Progress shows `stage`, in `unit`. Names of tasks are unique. `passed_on`: to later steps.

        Raises:
            PartialRun: tasks are missing that others should have done.
        """
        done = {task.name: marker["counts"] for task in tasks if (marker := self.marker(task))}
        todo = self.share.order([task for task in tasks if task.name not in done])
        self.share.check_done(self.path, stage, len(todo), len(tasks))
        total = sum(task.size for task in tasks)
        initial = total - sum(task.size for task in todo)

        def how_far() -> str:
            whole = sum(task.size for task in tasks if task.name in done)
            in_part = self._partial.items if self._partial else 0
            return f"Kept of the step {label!r}: {whole + in_part:,} of {total:,} {unit}."

        label = f"{self.plan['stage']}: {stage}" if "stage" in self.plan else stage
        bar_of_stage = progress_bar(label, unit, total, initial, self.progress)
        with self.timed(stage), interrupts.saying(how_far), bar_of_stage as bar:
            while todo:
                before = len(done)
                for task in todo:
                    self._take(task, work, bar.update, done)
                todo = [task for task in todo if task.name not in done]
                if todo and len(done) == before:
                    interrupts.check()
                    time.sleep(LOOK_AGAIN)
        if self.store and passed_on and self._fetch(tasks):
            return self.run(stage, unit, tasks, work)
        counts: Counter[str] = Counter()
        for task in tasks:
            counts.update(done[task.name])
        return counts

    def _fetch(self, tasks: Sequence[Task]) -> bool:
        """Fetch the outputs of others to the mirror; tell whether a damaged one must be redone."""
        assert self.store
        undone = False
        for task in tasks:
            outputs = (self.marker(task) or {}).get("outputs", {})
            for output, recorded in outputs.items():
                if found := self.store.fetch_output(output, recorded):
                    incidents.note(f"{self.store.url}: {output} {found} It is written again.")
                    remove(self.path / DONE / f"{task.name}.json")
                    self.store.delete(f"{DONE}/{task.name}.json")
                    undone = True
        return undone

    def written(self, task: str, output: str) -> Path:
        """Return the local path of a finished task's output, fetched if necessary."""
        if self.store:
            self._fetch([Task(task, (output,), 0)])
        return self.path / output

    def _take(
        self, task: Task, work: Work, tick: Callable[[int], object], done: dict[str, Counts]
    ) -> None:
        """Do a task, or note that another process did, unless one is doing it now."""
        with self._lock.task(task.name) as free:
            if not free:
                return
            if self.store and self.share.together:
                self.store.fetch_marker(task.name)
            if self.share.together and (marker := self.marker(task)):
                done[task.name] = marker["counts"]
                tick(task.size)
            else:
                done[task.name] = self._do(task, work, tick)

    def _do(self, task: Task, work: Work, tick: Callable[[int], object]) -> Counts:
        temporary = [self.state / "tmp" / f"{task.name}.{n}" for n in range(len(task.outputs))]
        marker = self.path / DONE / f"{task.name}.json"
        if self.store and self.manifest:
            self.store.delete(MANIFEST)
        for leftover in (self.path / MANIFEST, marker, *temporary):  # It is not finished now.
            remove(leftover)
        reported = 0

        def report(amount: int) -> None:
            nonlocal reported
            interrupts.check()
            step = min(amount, task.size - reported)
            reported += step
            tick(step)

        with Partial(self.state / PARTIAL / task.name, self.hash) as self._partial:
            counts = dict(work(task, temporary, report))
        claimed = f"{CLAIMED}/{task.name}.json"
        self._write(claimed, claim_of(task.outputs))
        written = {}
        for path, output in zip(temporary, task.outputs, strict=True):
            final = self.path / output
            check_links(self.path, final)
            final.parent.mkdir(parents=True, exist_ok=True)
            flush_all(path)
            if is_folder(final):
                shutil.rmtree(final)
            path.replace(final)
            flush(final.parent)
            written[output] = record(final)
            if self.store:
                self.store.put(output)
        noted = {"plan": self.hash, "outputs": written, "counts": counts}
        if happened := incidents.drain():
            noted["incidents"] = happened
        self._write(f"{DONE}/{task.name}.json", canonical_json(noted))
        remove(self.path / claimed)
        if self.store:
            self.store.delete(claimed)
        self._partial.remove()
        report(task.size)
        return counts

    def finish(self, counts: Counts, **about_this_run: object) -> Json:
        """Write `manifest.json`, the same for the same plan, and `run.json`, about this run."""
        with self.hold(MANIFEST):
            if self.share.together and self.complete:
                return self.manifest
            manifest = {**self.plan, "counts": dict(counts)}
            noted = self._facts() | {"incidents": self._incidents()} | device_use.drain()
            remove(self.state / PARTIAL)
            self._write(RUN, canonical_json(redacted(noted | about_this_run)))
            self._write(MANIFEST, canonical_json(manifest))
            return manifest

    def _facts(self) -> Json:
        """Return when, where and how fast this process ran."""
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 3),
            "seconds_of_steps": {step: round(took, 3) for step, took in self.seconds.items()},
            "peak_memory_bytes": usage * (1 if sys.platform == "darwin" else 1024),
            "host": socket.gethostname(),
            "command": sys.argv,
        }

    def _write(self, name: str, text: str) -> None:
        """Write a file of the run's state here and on the storage that this mirrors."""
        if self.store:
            self.store.write(name, text)
        write_text(self.path / name, text, self.state / "tmp")

    def _keep_incidents(self) -> None:
        """Add incidents after the last task to `run.json`."""
        if happened := incidents.drain():
            with self.hold(MANIFEST):
                about = read_json(self.path / RUN) or {}
                about["incidents"] = [*about.get("incidents", []), *happened]
                self._write(RUN, canonical_json(about))

    def _incidents(self) -> list[str]:
        noted = [(read_json(file) or {}).get("incidents", []) for file in markers_of(self.path)]
        return [*(one for some in noted for one in some), *incidents.drain()]
