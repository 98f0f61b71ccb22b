"""Workers: several processes on one machine that share a run, started, watched, replaced.

They divide the tasks by locks in the run directory, so that when one dies, the others do its tasks.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnmine.errors import PartialRun, is_out_of_memory
from hnmine.runner import incidents, interrupts

POLL_SECONDS = 0.1
"""Time between two looks at the workers."""

OUT_OF_MEMORY = 137
"""Exit code of a worker that ran out of memory: what a shell says of a killed process."""

ShareOf = Callable[[int, int, int], Callable[[], Any]]
"""From a process's number, their count and its threads to what it runs, which can be pickled."""


def run_workers(share_of: ShareOf, *, count: int, threads: int, memory_limit: int | None) -> None:
    """Let workers do a run's tasks; return when nothing is left, or when one met an error.

    Args:
        share_of: what each runs.
        count: workers.
        threads: CPU threads, for all together.
        memory_limit: bytes that they may take together.

    Raises:
        PartialRun: the workers died, all of them.
    """
    _Pool(share_of, count, max(1, threads // count), memory_limit).run()


class _Worker:
    """A process that does a share of a run."""

    def __init__(self, share: Callable[[], Any], number: int, threads: int) -> None:
        self.number, self.threads = number, threads
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hnmine.runner.local_pool"], stdin=subprocess.PIPE
        )
        assert self.process.stdin
        # The pipe stays open: the worker ends when its other end is gone.
        pickle.dump(share, self.process.stdin)
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


@dataclass
class _Pool:
    """The workers of a run."""

    share_of: ShareOf
    count: int
    threads: int
    memory_limit: int | None

    def run(self) -> None:
        """Start the workers, and wait until all have ended."""
        self.workers: list[_Worker] = []
        try:
            for number in range(self.count):
                self._start(number, self.threads)
            while self.workers:
                interrupts.check()
                time.sleep(POLL_SECONDS)
                self._keep_to_memory()
                for worker in list(self.workers):
                    code = worker.process.poll()
                    if code is not None and not self._ended(worker, code):
                        return
        finally:
            for worker in self.workers:
                worker.stop()

    def _start(self, number: int, threads: int) -> None:
        share = self.share_of(number, self.count, threads)
        self.workers.append(_Worker(share, number, threads))

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
        limit = self.memory_limit
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
    while os.read(sys.stdin.fileno(), 1):  # `sys.stdin` would keep its lock when Python ends.
        pass
    os._exit(0)


def main() -> None:
    """Do a share of a run; standard input says which."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent is told too, and ends this process.
    share = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        share()
    except Exception as error:
        # The parent meets the error too, and explains it.
        sys.exit(OUT_OF_MEMORY if is_out_of_memory(error) else 1)


if __name__ == "__main__":
    main()
