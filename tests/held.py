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
import fnmatch, os, signal, sys
_left = [{times}]
def _stop(event, given):
    if event == "os.rename" and fnmatch.fnmatch(os.fspath(given[1]), {pattern!r}):
        _left[0] -= 1
        if not _left[0]:
            os.kill(os.getpid(), signal.SIGSTOP)
sys.addaudithook(_stop)
"""


def stopping(pattern: str, times: int) -> str:
    """Return code that lets a process stop before its so-many-th rename to such a path."""
    return STOP.format(pattern=pattern, times=times)


def command_line(before: str, *arguments: object) -> list[str]:
    """Return the command line of a new Python that runs code, and then hnmine."""
    code = f"{before}\nimport sys\nfrom hnmine.cli import main\nsys.argv[0] = 'hnmine'\nmain()\n"
    return [sys.executable, "-c", code, *map(str, arguments)]


def stopped(process: Any) -> None:
    """Wait until a process has stopped itself."""
    wait_until(lambda: _stat(process.pid)[0] == "T", process)


def let_work(process: Any, seconds: float) -> None:
    """Wait until a process has worked so many seconds more, however busy the machine is."""
    begun = _worked(process.pid)
    wait_until(lambda: _worked(process.pid) - begun >= seconds, process)


def taken(process: Any, number: int) -> None:
    """Wait until a process has taken a signal: a second one would else be the same one."""
    status = Path(f"/proc/{process.pid}/status")

    def is_taken() -> bool:
        fields = dict(line.split(":\t") for line in status.read_text().splitlines())
        waiting = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
        return not waiting >> (number - 1) & 1

    wait_until(is_taken, process)


def _worked(pid: int) -> float:
    user, system = _stat(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
