"""Command lines in processes forked from a server that has imported what commands import.

A new Python imports for seconds. A forked process has arguments, streams, an environment and a
working directory of its own, as a new one has; whoever tests the imports starts a new one.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
    "duckdb",
    "faiss",
    "onnxruntime",
]
"""PyTorch is left out: few commands need it, and it takes as long as all of these."""

SECONDS = 300
"""In which a command ends."""


def process(target: Callable[..., Any], *arguments: Any) -> multiprocessing.Process:
    """Return a process, not yet started, that will be forked from the server."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context.Process(target=target, args=arguments)


def command(
    arguments: Sequence[object],
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the command line; return how it ended and what it printed."""
    words = ["hnmine", *map(str, arguments)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        files = [f"/proc/{os.getpid()}/fd/{stream.fileno()}" for stream in (out, error)]
        given = dict(os.environ if env is None else env)
        child = process(_main, words, given, str(cwd or Path.cwd()), *files)
        child.start()
        child.join(SECONDS)
        if child.exitcode is None:
            child.kill()
            raise subprocess.TimeoutExpired(words, SECONDS)
        printed = []
        for stream in (out, error):
            stream.seek(0)
            printed.append(stream.read().decode())
    return subprocess.CompletedProcess(words, child.exitcode, *printed)


def _main(words: list[str], env: dict[str, str], cwd: str, out: str, error: str) -> None:
    from hnmine.cli import main

    for path, descriptor in ((out, 1), (error, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = words
    main()
