"""Several processes on one machine that share a stage: started, watched, replaced.

Each is the same command with a share of the tasks, and loads its models once. They divide the work
by locks in the directory itself, so that whichever dies, the others do its tasks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hnmine.config.output import OutputSettings
from hnmine.encode.locate import find_model
from hnmine.errors import PartialRun, UsageError, is_out_of_memory
from hnmine.results import StageResult
from hnmine.runner import incidents, interrupts
from hnmine.runner.worker import models_of, take_part, values_for_member
from hnmine.validate.estimates import memory, weights_of

LOOK_AGAIN = 0.1
"""Seconds between two looks at the workers."""

OUT_OF_MEMORY = 137
"""Exit code of a worker that ran out of memory: what a shell says of a killed process."""


def work_together(settings: OutputSettings) -> StageResult | None:
    """Let others do the tasks of a stage; return when they have left nothing to do.

    Returns:
        What came out, where it need not be found here; else the caller ends the run. A fault that a
        worker on this machine meets is met again, and explained, by the caller.

    Raises:
        HnmineError: a worker on another machine met it.
        UsageError: not even one worker fits in --max-memory.
        PartialRun: the workers died, all of them.
    """
    if settings.engine == "ray":
        from hnmine.runner.ray_pool import work_on_ray

        return work_on_ray(settings)
    if (settings.workers or 1) > 1 or settings.memory_limit is not None:
        _Crew(settings, affordable(settings)).run()
    return None


def affordable(settings: OutputSettings) -> int:
    """Return how many workers fit in the memory that they may take.

    Raises:
        UsageError: not even one does.
    """
    limit, wanted = settings.memory_limit, settings.workers or 1
    if limit is None:
        return wanted
    need = _need(settings)
    if need > limit:
        raise UsageError(
            f"max-memory: one worker needs about {need / 1e9:.1f} GB.",
            why="That is what Python, its libraries and the models take.",
            fix=f"Allow more than {limit / 1e9:.1f} GB.",
        )
    return min(wanted, limit // need)


def _need(settings: OutputSettings) -> int:
    """Estimate what a worker takes before it has read anything, in bytes."""
    models = models_of(settings)
    weights = sum(weights_of(find_model(name)) for name in models) if models else None
    return memory(0, weights, 0)


class _Worker:
    """A process that takes part in a stage."""

    def __init__(self, settings: OutputSettings, number: int, count: int, threads: int) -> None:
        self.number, self.threads = number, threads
        values = values_for_member(settings, number, count, threads)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hnmine.runner.local_pool"], stdin=subprocess.PIPE, text=True
        )
        assert self.process.stdin
        # The pipe stays open: it tells the worker that somebody waits for it.
        self.process.stdin.write(json.dumps({"command": settings.command, "settings": values}))
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def memory(self) -> int:
        """Return the bytes that it holds for itself; 0 where the system does not say."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text("ascii", "replace")
        except OSError:
            return 0
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return int(fields.get("RssAnon", "0 kB").split()[0]) * 1024

    def stop(self) -> None:
        """Kill it: what it was at is done again."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdin
        self.process.stdin.close()


class _Crew:
    """The workers of a stage."""

    def __init__(self, settings: OutputSettings, count: int) -> None:
        self.settings, self.count = settings, count
        self.workers: list[_Worker] = []

    def run(self) -> None:
        """Start the workers, and see them through."""
        threads = max(1, self.settings.cpu_threads // self.count)
        try:
            for number in range(self.count):
                self._start(number, threads)
            while self.workers:
                interrupts.check()
                time.sleep(LOOK_AGAIN)
                self._keep_to_memory()
                for worker in list(self.workers):
                    code = worker.process.poll()
                    if code is not None and not self._ended(worker, code):
                        return
        finally:
            for worker in self.workers:
                worker.stop()

    def _start(self, number: int, threads: int) -> None:
        self.workers.append(_Worker(self.settings, number, self.count, threads))

    def _ended(self, worker: _Worker, code: int) -> bool:
        """Take note of a worker's end; return whether the others shall go on."""
        self.workers.remove(worker)
        if code == 0 or (code > 0 and code != OUT_OF_MEMORY):
            return code == 0
        how = "ran out of memory" if code > 0 else f"was killed by {signal.Signals(-code).name}"
        self._replace(worker, how)
        return True

    def _replace(self, worker: _Worker, how: str, *, again: bool = True) -> None:
        """Go on with a worker that takes less memory: fewer threads hold fewer batches at once."""
        who = f"Worker {worker.number} of {self.count} {how}"
        threads = worker.threads // 2
        if threads and again:
            incidents.note(f"{who}; it goes on with {threads} threads.")
            self._start(worker.number, threads)
        elif self.workers:
            incidents.note(f"{who}; the others do its tasks.")
        else:
            raise PartialRun(
                f"{who}, as did all others.",
                why="That is what the system does where memory is short.",
                fix="Run the same command with fewer --workers, a smaller --batch-tokens, or where "
                "more memory is free: what was finished is kept.",
            )

    def _keep_to_memory(self) -> None:
        """Stop the largest worker where all together take more than they may."""
        limit = self.settings.memory_limit
        if limit is None:
            return
        taken = {worker.number: worker.memory() for worker in self.workers}
        if sum(taken.values()) <= limit:
            return
        largest = max(self.workers, key=lambda worker: taken[worker.number])
        largest.stop()
        self.workers.remove(largest)
        how = f"was stopped: all took {sum(taken.values()) / 1e9:.1f} of {limit / 1e9:.1f} GB"
        self._replace(largest, how, again=not self.workers)


def _end_with_parent() -> None:
    """Wait until the process that started this one is gone, and go too."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Do a share of a stage; standard input says which."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent is told too, and ends this process.
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        take_part(job["command"], job["settings"])
    except Exception as error:
        # The parent meets the error too, and explains it.
        sys.exit(OUT_OF_MEMORY if is_out_of_memory(error) else 1)


if __name__ == "__main__":
    main()
