"""Code and command lines in processes forked from a server that has imported what they import.

A new Python imports for seconds. A forked process has arguments, streams, an environment and a
working directory of its own, as a new one has. Tests of imports, and of what libraries read from
the environment when they are imported, start a new Python.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from held import HANG

PRELOAD = [
    "hnmine.cli",
    "hnmine.commands",
    "hnmine.index.building",
    "hnmine.sources.mining",
    "hnmine.selection.pipeline",
    "hnmine.exports.exporting",
    "hnmine.extras.batches.batch",
    "hnmine.extras.generation.generate",
    "hnmine.extras.mixing.mix",
    "hnmine.audit.auditing",
    "hnmine.report.reporting",
    "hnmine.review.reviewing",
    "hnmine.validate.validating",
    *("duckdb", "faiss", "onnxruntime", "pyarrow.dataset", "scipy.optimize", "scipy.stats"),
    *("hypothesis", "pytest"),  # Processes that run a function of a test import its file.
]
HEAVY = "sentence_transformers"
"""Takes as long to import as all of these: `conftest.py` adds it where slow tests run."""
LAST = "tests.warm"
ROOT = Path(__file__).resolve().parent.parent

COMMAND_LINE = "from hnmine.cli import main; main()"


def process(target: Callable[..., Any], *arguments: Any) -> multiprocessing.Process:
    """Return a process, not yet started, that will be forked from the server."""
    begin()
    return multiprocessing.get_context("forkserver").Process(target=target, args=arguments)


@cache
def begin() -> None:
    """Start the server."""
    here = Path.cwd()
    forkserver.set_forkserver_preload([*PRELOAD, LAST])
    os.chdir(ROOT)  # The last module is found from there.
    try:
        forkserver.ensure_running()
    finally:
        os.chdir(here)


class Running:
    """A process that runs code or a script; used like `subprocess.Popen`.

    Args:
        code: Python to run, or the path of a script.
        arguments: of the command line.
        env: the environment; that of this process if None.
        cwd: the working directory; that of this process if None.
    """

    def __init__(
        self,
        code: str | Path,
        arguments: Sequence[object] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
    ) -> None:
        pipes = [os.pipe() for _ in range(2)]
        self.ends = [end for _, end in pipes]
        self.readers = [_Reader(start) for start, _ in pipes]
        files = [f"/proc/{os.getpid()}/fd/{end}" for end in self.ends]
        self.words = [*map(str, arguments)]
        given = dict(os.environ if env is None else env)
        self.process = process(_run, code, self.words, given, str(cwd or Path.cwd()), *files)
        self.process.start()
        self.pid = self.process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self.process.exitcode

    poll = returncode.fget

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()

    def wait(self, timeout: float = HANG) -> int:
        """Wait until it ends; return how."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise subprocess.TimeoutExpired(self.words, timeout)
        while self.ends:
            os.close(self.ends.pop())
        return self.process.exitcode

    def communicate(self, timeout: float = HANG) -> tuple[str, str]:
        """Wait until it ends; return what it printed."""
        self.wait(timeout)
        out, error = (reader.all() for reader in self.readers)
        return out, error


class _Reader(threading.Thread):
    """Reads a pipe to its end, so that nobody who writes to it waits."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(daemon=True)
        self.descriptor, self.found = descriptor, b""
        self.start()

    def run(self) -> None:
        with os.fdopen(self.descriptor, "rb") as pipe:
            self.found = pipe.read()

    def all(self) -> str:
        self.join()
        return self.found.decode()


def run(code: str | Path, *arguments: object, **where: Any) -> subprocess.CompletedProcess[str]:
    """Run code or a script to its end; return how it ended and what it printed."""
    running = Running(code, arguments, **where)
    printed = running.communicate()
    return subprocess.CompletedProcess(running.words, running.returncode, *printed)


def _run(
    code: str | Path, words: list[str], env: dict[str, str], cwd: str, out: str, error: str
) -> None:
    for path, descriptor in ((out, 1), (error, 2)):
        opened = os.open(path, os.O_WRONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
    # Those of the server are for a stream of another kind.
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, "utf-8", "backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["hnmine", *words]
    if isinstance(code, Path):
        sys.argv[0] = str(code)
        runpy.run_path(str(code), run_name="__main__")
    else:
        exec(compile(code, "<test>", "exec"), {"__name__": "__main__"})
