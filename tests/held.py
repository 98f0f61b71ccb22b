"""Processes held at an event, so that no test depends on which of two processes is faster.

A test that kills a process in mid-work must not hope to meet it there. The process stops itself
before a rename (`stopping`), or a task that it needs is held by another process (`held`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from hnmine.runner.locks import OFFSETS

HANG = 600
"""Seconds after which a wait is taken for a hang; nothing else is told from a time."""

LOOK_AGAIN = 0.01

Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found], process: Any = None) -> Found:
    """Wait until a condition holds; return what it returned.

    Args:
        condition: asked again and again.
        process: with `poll`, and that must not end before.
    """
    end = time.monotonic() + HANG
    while not (found := condition()):
        ended = None if process is None else process.poll()
        assert ended is None or condition(), f"It ended first, with {ended}."
        assert time.monotonic() < end, "It never came."
        time.sleep(LOOK_AGAIN)
    return found


HOLD = """
import fcntl, sys
with open(sys.argv[1], "a+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, int(sys.argv[2]))
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(directory: Path, task: str) -> Iterator[Callable[[], None]]:
    """Hold a task of a run that processes share: they do the others, and wait for this one.

    Yields what lets it go.
    """
    state = directory / ".hnmine"
    state.mkdir(parents=True, exist_ok=True)
    place = xxhash.xxh3_64_intdigest(task.encode()) % OFFSETS
    # In a process of its own: a lock ends where its process closes any descriptor of the file.
    command = [sys.executable, "-c", HOLD, str(state / "tasks"), str(place)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with ExitStack() as stack:
        holder = stack.enter_context(subprocess.Popen(command, text=True, **pipes))

        def let_go() -> None:
            holder.stdin.close()
            holder.wait()

        stack.callback(let_go)
        assert holder.stdout.readline() == "held\n"
        yield let_go


STOP = """
import os, signal, sys
_left = [{times}]
def _stop(event, given):
    if event == "os.rename" and {where!r} in os.fspath(given[1]):
        _left[0] -= 1
        if not _left[0]:
            os.kill(os.getpid(), signal.SIGSTOP)
sys.addaudithook(_stop)
"""


def stopping(where: str, times: int) -> str:
    """Return code that lets a process stop before the so-many-th rename to a path with a text."""
    return STOP.format(where=where, times=times)


def stopped(process: Any) -> None:
    """Wait until a process has stopped itself."""
    status = Path(f"/proc/{process.pid}/stat")
    wait_until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T", process)


def cpu_seconds(pid: int) -> float:
    """Return the seconds of work that a process has done, however busy the machine is."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
