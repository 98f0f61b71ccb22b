"""Worker processes on one machine that share a run.

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
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from hnmine.errors import PartialRun, is_out_of_memory
from hnmine.runner import incidents, interrupts

POLL_SECONDS = 0.1
"""Time between two looks at the workers."""

OUT_OF_MEMORY = 137
"""Exit code of a worker that ran out of memory, as a shell reports a killed process."""

Outcome = TypeVar("Outcome")
ShareOf = Callable[[int, int, int], Callable[[], Outcome]]
"""From a process's number, their count and its threads to what it runs, which can be pickled."""


class Pool(ABC, Generic[Outcome]):
    """Processes that share a run, numbered from 0; a dead one is replaced."""

    kind = "Worker"
    at_work: Collection[object]

    def __init__(self, share_of: ShareOf[Outcome], count: int) -> None:
        self.share_of, self.count = share_of, count

    @abstractmethod
    def start(self, number: int, threads: int, deaths: int = 0) -> None:
        """Start a process of so many threads, after those of its number that died."""

    def replace(self, number: int, how: str, *, threads: int, deaths: int = 0) -> None:
        """Start another process instead of a dead one, or leave its tasks to the others.

        Raises:
            PartialRun: none is started, and no other is at work.
        """
        who = f"{self.kind} {number} of {self.count} {how}"
        if threads:
            incidents.note(f"{who}; another continues with {threads} threads.")
            self.start(number, threads, deaths)
        elif self.at_work:
            incidents.note(f"{who}; the others do its tasks.")
        else:
            raise PartialRun(
                f"{who}, as did all others.",
                why="The system kills processes where memory is short, or a machine was lost.",
                fix="Rerun with fewer --workers, a smaller --batch-tokens, or where more memory is "
                "free; finished work is kept.",
            )


def run_workers(
    share_of: ShareOf[object],
    *,
    count: int,
    threads: int,
    memory_limit: int | None,
    environments: Sequence[Mapping[str, str]] = ({},),
) -> None:
    """Let workers do a run's tasks; return when none is left, or when one met an error.

    Args:
        share_of: what each runs.
        count: workers.
        threads: of all of them together.
        memory_limit: of all of them together, in bytes.
        environments: variables that workers get in turn, such as the GPU that one may use.

    Raises:
        PartialRun: all workers died.
    """
    _Workers(share_of, count, max(1, threads // count), memory_limit, environments).run()


class _Worker:
    """A process that does a share of a run."""

    def __init__(
        self,
        share: Callable[[], object],
        number: int,
        threads: int,
        environment: Mapping[str, str],
    ) -> None:
        self.number, self.threads = number, threads
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hnmine.runner.local_pool"],
            stdin=subprocess.PIPE,
            env={**os.environ, **environment},
        )
        assert self.process.stdin
        # The pipe stays open: the worker ends when its other end closes.
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
        self.process.kill()
        self.process.wait()
        assert self.process.stdin
        self.process.stdin.close()


class _Workers(Pool[object]):
    def __init__(
        self,
        share_of: ShareOf[object],
        count: int,
        threads: int,
        memory_limit: int | None,
        environments: Sequence[Mapping[str, str]],
    ) -> None:
        super().__init__(share_of, count)
        self.threads, self.memory_limit = threads, memory_limit
        self.environments = environments
        self.at_work: list[_Worker] = []

    def run(self) -> None:
        """Start the workers, and wait until all have ended."""
        try:
            for number in range(self.count):
                self.start(number, self.threads)
            while self.at_work:
                interrupts.check()
                time.sleep(POLL_SECONDS)
                self._keep_to_memory()
                for worker in list(self.at_work):
                    code = worker.process.poll()
                    if code is not None and not self._ended(worker, code):
                        return
        finally:
            for worker in self.at_work:
                worker.stop()

    def start(self, number: int, threads: int, deaths: int = 0) -> None:
        share = self.share_of(number, self.count, threads)
        environment = self.environments[number % len(self.environments)]
        self.at_work.append(_Worker(share, number, threads, environment))

    def _ended(self, worker: _Worker, code: int) -> bool:
        """Replace a worker that was killed; return whether the others should continue."""
        self.at_work.remove(worker)
        if code == 0 or (code > 0 and code != OUT_OF_MEMORY):
            return code == 0
        how = "ran out of memory" if code > 0 else f"was killed by {signal.Signals(-code).name}"
        # Fewer threads hold fewer batches in memory.
        self.replace(worker.number, how, threads=worker.threads // 2)
        return True

    def _keep_to_memory(self) -> None:
        """Stop the largest worker where all together exceed the limit."""
        limit = self.memory_limit
        if limit is None:
            return
        taken = {worker.number: worker.memory() for worker in self.at_work}
        if sum(taken.values()) <= limit:
            return
        largest = max(self.at_work, key=lambda worker: taken[worker.number])
        largest.stop()
        self.at_work.remove(largest)
        how = f"was stopped: all took {sum(taken.values()) / 1e9:.1f} of {limit / 1e9:.1f} GB"
        self.replace(largest.number, how, threads=0 if self.at_work else largest.threads // 2)


def _end_with_parent() -> None:
    """Wait until the process that started this one ends, and end too."""
    while os.read(sys.stdin.fileno(), 1):  # `sys.stdin` would keep its lock when Python ends.
        pass
    os._exit(0)


def main() -> None:
    """Do the share of a run that standard input holds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent gets it too, and ends this process.
    share = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        share()
    except Exception as error:
        # The parent meets the error too, and explains it.
        sys.exit(OUT_OF_MEMORY if is_out_of_memory(error) else 1)


if __name__ == "__main__":
    main()
