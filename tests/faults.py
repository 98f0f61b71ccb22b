"""Kill a stage at any of its file operations, and count them: what `test_faults.py` runs.

Each attempt is a process forked from a server that has imported everything, so that hundreds of
kills take minutes. `python tests/faults.py` kills every stage at every operation.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("OMP_NUM_THREADS", "2")

import forked
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, ENCODER, built_once, content, renamed_inside

AUDITED = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}
TOPICS = ["pear", "plum", "fig", "lime", "kiwi", "date", "grape", "melon", "peach", "mango"]

Directory = str
Step = tuple[str, Directory, Callable[[Path, Path], dict[str, Any]]]


def write_inputs(folder: Path, documents: int = 60, queries: int = 12) -> Path:
    """Write a corpus and pairs that every stage finds something to do with."""
    texts = [
        f"Document {n} tells of the number {n} and of a {TOPICS[n % 7]}." for n in range(documents)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"id": [f"d{n}" for n in range(documents)], "text": texts}),
        folder / "corpus.parquet",
    )
    pairs = {
        "query_id": [f"q{n}" for n in range(queries)],
        "query": [f"What tells of {n} and a {TOPICS[n % 7]}?" for n in range(queries)],
        "positive": texts[:queries],
        "positive_id": [f"d{n}" for n in range(queries)],
    }
    pq.write_table(pa.table(pairs), folder / "pairs.parquet")
    return folder


SHARED = {"threads": 1, "progress": False}
CPU = {"device": "cpu", "backend": "torch"}


def _index(inputs: Path, root: Path) -> dict[str, Any]:
    given = {"corpus": [str(inputs / "corpus.parquet")], "pairs": str(inputs / "pairs.parquet")}
    return {**SHARED, **given, "index": root / "index", "shard_size": 24}


def _dense_index(inputs: Path, root: Path) -> dict[str, Any]:
    return {
        **_index(inputs, root),
        "encoder": ENCODER,
        "max_length": 16,
        "faiss": "IVF2,Flat",
        **CPU,
    }


def _mine(inputs: Path, root: Path) -> dict[str, Any]:
    where = {"index": root / "index", "pairs": str(inputs / "pairs.parquet")}
    more = {"output": root / "candidates", "block_size": 5, "top_k": 8, "clusters": 2}
    return {**SHARED, **where, **more, "device": "cpu"}


def _filter(inputs: Path, root: Path) -> dict[str, Any]:
    where = {"candidates": root / "candidates", "output": root / "mined"}
    rules = {"margin": 0.0, "max_uses": 4, "deepen": 2, "num_negatives": 3, "max_length": 32}
    return {**SHARED, **where, **rules, "cross_encoder": CROSS_ENCODER}


def _output(name: str, **more: Any) -> Callable[[Path, Path], dict[str, Any]]:
    def settings(inputs: Path, root: Path) -> dict[str, Any]:
        return {**SHARED, "mined": root / "mined", "output": root / name, **more}

    return settings


def _generate(inputs: Path, root: Path) -> dict[str, Any]:
    given = {"corpus": str(inputs / "corpus.parquet"), "pairs": str(inputs / "pairs.parquet")}
    return {**SHARED, **given, "output": root / "generated", "block_size": 5}


STEPS: dict[str, Step] = {
    "build-index": ("build_index", "index", _dense_index),
    "mine": ("mine", "candidates", _mine),
    "filter": ("filter", "mined", _filter),
    "batch": ("batch", "batches", _output("batches", batch_size=4, epochs=2)),
    "export": ("export", "export", _output("export", to="flagembedding")),
    "mix": ("mix", "mixed", _output("mixed", by=["mochi:2"], vectors=True)),
    "generate": ("generate", "generated", _generate),
}
"""By command: the function, the directory that it writes, its settings."""

NO_ROOM = 75
"""Exit code of an attempt that the full disk stopped."""

KEPT_BESIDE = ("scores", "deeper")
"""What `filter` writes into the candidates."""


class _Counter:
    """Counts what this process does to files below a folder; kills it before one of them."""

    def __init__(self, root: Path, kill_at: int | None) -> None:
        self.root, self.kill_at, self.count = str(root), kill_at, 0
        fsync = os.fsync

        def counted(descriptor: int) -> None:
            self.step()
            fsync(descriptor)

        os.fsync = counted
        sys.addaudithook(self.see)

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in AUDITED and str(arguments[0]).startswith(self.root):
            writes = event != "open" or bool(int(arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR))
            if writes and threading.current_thread() is threading.main_thread():
                self.step()

    def step(self) -> None:
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def _attempt(
    name: str,
    settings: dict[str, Any],
    root: Path,
    kill_at: int | None,
    room: int | None,
    pipe: Any,
) -> None:
    import hnmine
    from hnmine.errors import PartialRun

    counter = _Counter(root, kill_at)
    if room is not None:
        # The system call fails as it does on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        getattr(hnmine, name)(**settings)
    except (OSError, PartialRun):
        if room is None:
            raise
        os._exit(NO_ROOM)
    pipe.send(counter.count)
    pipe.close()


def start(
    step: str,
    inputs: Path,
    root: Path,
    kill_at: int | None = None,
    room: int | None = None,
    **more: Any,
) -> tuple[Any, Any]:
    """Start a step in a process of its own; return it and where it says what it did."""
    function, _, settings = STEPS[step]
    receiver, sender = multiprocessing.Pipe(duplex=False)
    arguments = (function, {**settings(inputs, root), **more}, root, kill_at, room, sender)
    process = forked.process(_attempt, *arguments)
    process.start()
    sender.close()
    return process, receiver


def attempt(
    step: str,
    inputs: Path,
    root: Path,
    *,
    kill_at: int | None = None,
    after: float | None = None,
    room: int | None = None,
) -> int | None:
    """Run a step in a process of its own.

    Args:
        step: of `STEPS`.
        inputs: what `write_inputs` wrote.
        root: where the directories of all steps are.
        kill_at: kill it before so many operations on files, from 1.
        after: kill it after so many seconds.
        room: bytes that a file may have, as on a disk that is full.

    Returns:
        The operations that it did; None if it was killed, or had no room.
    """
    process, receiver = start(step, inputs, root, kill_at, room)
    process.join(after)
    if after is not None and process.exitcode is None:
        process.kill()
    process.join()
    expected = (0, -signal.SIGKILL) if room is None else (0, NO_ROOM)
    assert process.exitcode in expected, process.exitcode
    try:
        return int(receiver.recv())
    except EOFError:
        return None


def earlier(step: str) -> list[str]:
    """Return the steps whose output a step reads."""
    return (
        []
        if step in ("build-index", "generate")
        else list(STEPS)[: min(3, list(STEPS).index(step))]
    )


def before(step: str, whole: Path, root: Path) -> None:
    """Bring a folder to where a step begins."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name in earlier(step):
        directory = STEPS[name][1]
        leave = shutil.ignore_patterns(*KEPT_BESIDE)
        shutil.copytree(whole / directory, root / directory, ignore=leave)
    renamed_inside(root, whole)


def written(step: str, root: Path) -> dict[str, bytes]:
    """Return all that a step wrote."""
    found = content(root / STEPS[step][1])
    beside = content(root / "candidates") if step in ("mine", "filter") else {}
    for name, data in beside.items():
        if name.startswith(KEPT_BESIDE) == (step == "filter"):
            found[name] = data
        else:
            found.pop(name, None)
    return found


def prepare(folder: Path, steps: Iterable[str] = STEPS) -> tuple[Path, Path, dict[str, int]]:
    """Run steps undisturbed; return inputs, their root, and the operations of each."""
    inputs, whole = write_inputs(folder / "inputs"), folder / "whole"
    whole.mkdir()
    counts = {}
    for step in steps:
        count = attempt(step, inputs, whole)
        assert count is not None
        counts[step] = count
    return inputs, whole, counts


def undisturbed(
    factory: pytest.TempPathFactory, steps: Iterable[str] = STEPS
) -> tuple[Path, Path, dict[str, int]]:
    """Return what `prepare` does, from a run that all tests share and a copy of what it wrote."""

    def build(folder: Path) -> None:
        _, _, counts = prepare(folder)
        (folder / "counts.json").write_text(json.dumps(counts))

    shared, whole = built_once(factory, "undisturbed", build), factory.mktemp("undisturbed")
    for step in steps:
        shutil.copytree(shared / "whole" / STEPS[step][1], whole / STEPS[step][1])
    counts = json.loads((shared / "counts.json").read_text())
    return shared / "inputs", renamed_inside(whole, shared / "whole"), counts


def wrong_files(expected: dict[str, bytes], found: dict[str, bytes], root: Path) -> list[object]:
    """Return the files that differ, and those left over below a folder."""
    names = expected.keys() | found.keys()
    differ = [name for name in names if expected.get(name) != found.get(name)]
    return [*differ, *root.rglob(".hnmine/tmp/*"), *root.rglob("*.tmp")]


def kill_and_go_on(step: str, inputs: Path, whole: Path, root: Path, **kill: Any) -> bool:
    """Kill a step, run it again, and compare; tell whether it was killed at all."""
    before(step, whole, root)
    killed = attempt(step, inputs, root, **kill) is None
    attempt(step, inputs, root)
    wrong = wrong_files(written(step, whole), written(step, root), root)
    assert not wrong, (step, kill, wrong)
    return killed


def main() -> None:
    """Kill every stage at every operation, and at random moments."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--steps", nargs="*", default=list(STEPS))
    parser.add_argument("--every", type=int, default=1, help="kill at every n-th operation")
    parser.add_argument("--random", type=int, default=0, help="kills at random moments, each step")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        inputs, whole, counts = prepare(Path(folder))
        sys.stdout.write(f"operations: {counts}\n")
        draw = random.Random(0)
        for step in options.steps:
            start = time.perf_counter()
            before(step, whole, Path(folder) / "time")
            attempt(step, inputs, Path(folder) / "time")
            seconds = time.perf_counter() - start
            kills = [{"kill_at": n} for n in range(1, counts[step] + 1, options.every)]
            kills += [{"after": draw.uniform(0, seconds)} for _ in range(options.random)]
            root = Path(folder) / "root"
            killed = sum(kill_and_go_on(step, inputs, whole, root, **kill) for kill in kills)
            took = time.perf_counter() - start
            said = f"{step}: killed {killed} times, the same each time; {took:.0f} s\n"
            sys.stdout.write(said)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
