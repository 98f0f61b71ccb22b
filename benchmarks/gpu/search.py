"""Exact dense search on a device against semantic_search of sentence-transformers, in turn.

The vectors are random, in clusters, of length 1. Those of sentence-transformers are on the device
before the clock runs; those of hnmine are in files, and its first search reads them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import machine, ratio, spread, versions

K = 100
SHARD = 16384
"""Vectors in a file, as `build-index` writes them."""
TASK = 512
"""Queries in a task of `mine`."""
CLUSTER = 200
"""Vectors around each centre, on average."""
CHECKED = 200
"""Queries for which hnmine's search on the CPU must give the same bytes."""
SAMPLE = 1000
"""Queries of sentence-transformers where all of them would take too long."""
LONGEST = 8.0
"""Seconds of a search that are too long."""
CLOSE = 4e-6
"""Two float32 products of one pair differ by less."""

Vectors = NDArray[np.float32]
Times = dict[str, list[float]]


def made(vectors: int, queries: int, dimension: int, device: str) -> tuple[Any, Any]:
    """Return vectors and queries in clusters, of length 1, float32 on a device."""
    import torch

    random = torch.Generator(device).manual_seed(0)

    def normal(rows: int) -> Any:
        return torch.randn(rows, dimension, generator=random, device=device)

    centres = normal(max(1, vectors // CLUSTER))

    def drawn(rows: int) -> Any:
        at = torch.randint(len(centres), (rows,), generator=random, device=device)
        # Each has its own distance from its centre.
        spread_out = torch.rand(rows, 1, generator=random, device=device) + 0.3
        found = normal(rows).mul_(spread_out).add_(centres[at])
        return found.div_(torch.linalg.vector_norm(found, dim=1, keepdim=True))

    return drawn(vectors), drawn(queries)


def stored(vectors: Vectors, folder: Path) -> Path:
    """Write vectors as `build-index` does; return the directory."""
    from hnmine.array_files import save_array

    (folder / "vectors").mkdir(parents=True)
    for n, start in enumerate(range(0, len(vectors), SHARD)):
        save_array(folder / "vectors" / f"{n:05d}.npy", vectors[start : start + SHARD])
    return folder


class Case:
    """The vectors of one dimension, and both ways to search them."""

    def __init__(
        self, vectors: int, queries: int, dimension: int, device: str, folder: Path
    ) -> None:
        from hnmine.index import dense_index
        from hnmine.index.on_device import OnDevice

        dense_index.WORTHWHILE = 0  # Few vectors are to be searched on the device too.
        threads = machine()["cores"]
        assert isinstance(threads, int)
        self.device, self.dimension = device, dimension
        self.corpus, self.asked = made(vectors, queries, dimension, device)
        self.queries: Vectors = self.asked.cpu().numpy()
        directory = stored(self.corpus.cpu().numpy(), folder)
        self.index = dense_index.DenseIndex(directory, threads, device=device)
        self.on_cpu = dense_index.DenseIndex(directory, threads)
        if device == "cpu":
            # hnmine itself searches on the CPU in another way.
            self.index._on_device = OnDevice("cpu")
        self.k = np.full(queries, K)

    def at_once(self) -> NDArray[np.float64]:
        """Search for all queries; return the scores, shape (queries, K)."""
        return self.index.search(self.queries, self.k).scores.reshape(-1, K)

    def in_tasks(self) -> None:
        """Search for so many queries at once as `mine` does."""
        for start in range(0, len(self.queries), TASK):
            some = slice(start, start + TASK)
            self.index.search(self.queries[some], self.k[some])

    def by_peer(self, queries: int) -> list[list[dict[str, float]]]:
        """Search for the first queries by sentence-transformers, at its defaults."""
        from sentence_transformers.util import semantic_search

        found: list[list[dict[str, float]]] = semantic_search(
            self.asked[:queries], self.corpus, top_k=K
        )
        return found

    def same_bytes(self) -> bool:
        """Tell whether the CPU gives the same lists and scores for some queries."""
        some = slice(0, CHECKED)
        ours, cpu = (
            index.search(self.queries[some], self.k[some]) for index in (self.index, self.on_cpu)
        )
        return all(
            getattr(ours, name).tobytes() == getattr(cpu, name).tobytes()
            for name in ("offsets", "slots", "scores")
        )


def compared(case: Case, rounds: int, shown: bool = False) -> dict[str, object]:
    """Measure a case, and check that all ways give the same."""
    warm_up(case)
    before = _memory(case.device, reset=True)
    first, ours = _timed(case.at_once)
    peak = _memory(case.device) - before
    many = min(SAMPLE, len(case.queries))
    case.by_peer(10)
    least, theirs = _timed(lambda: case.by_peer(many))
    scale = len(case.queries) / many
    if least * scale <= LONGEST:
        many, scale = len(case.queries), 1.0
    times: Times = {"hnmine": [], "tasks": [], "peer": []}
    for _ in range(rounds):
        seconds, ours = _timed(case.at_once)
        times["hnmine"].append(seconds)
        times["tasks"].append(_timed(case.in_tasks)[0])
        seconds, theirs = _timed(lambda: case.by_peer(many))
        times["peer"].append(seconds * scale)
    if shown:
        profile(case)
    apart = _apart(ours[: len(theirs)], theirs)
    cpu, same = _timed(case.same_bytes)
    return {
        "vectors": case.index.count,
        "dimension": case.dimension,
        "queries": len(case.queries),
        "hnmine s": spread(times["hnmine"]),
        "in tasks of 512 s": spread(times["tasks"]),
        "first search s": f"{first:.3g}",
        "sentence-transformers s": spread(times["peer"]),
        "its queries": many,
        "times as fast": ratio(times["peer"], times["hnmine"]),
        "in tasks": ratio(times["peer"], times["tasks"]),
        "peak device MB": peak >> 20,
        "largest difference": f"{apart:.2g}",
        "same scores": bool(apart <= CLOSE),
        "same bytes as on the CPU": same,
        "seconds": times,
        "check s": cpu,
    }


def profile(case: Case) -> None:
    """Print what the device does longest in a search."""
    from torch.profiler import ProfilerActivity, profile

    cuda = [ProfilerActivity.CUDA] if case.device.startswith("cuda") else []
    with profile(activities=[ProfilerActivity.CPU, *cuda]) as seen:
        case.at_once()
    order = "cuda_time_total" if cuda else "cpu_time_total"
    print(seen.key_averages().table(sort_by=order, row_limit=16, max_name_column_width=60))


def warm_up(case: Case) -> None:
    """Compile what scores documents."""
    case.on_cpu.score(case.queries[:1], np.array([0, 1]), np.zeros(1, np.int64))


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    import torch

    start = time.perf_counter()
    found = act()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start, found


def _memory(device: str, *, reset: bool = False) -> int:
    """Return the peak of allocated bytes since the last reset, or those allocated after one."""
    import torch

    if not device.startswith("cuda"):
        return 0
    if reset:
        torch.cuda.reset_peak_memory_stats(device)
    return int(torch.cuda.max_memory_allocated(device))


def _apart(ours: NDArray[np.float64], theirs: Sequence[Sequence[Mapping[str, float]]]) -> float:
    """Return the largest difference of scores of the same rank."""
    peer = np.array([[hit["score"] for hit in hits] for hits in theirs])
    return float(np.abs(peer - ours).max())


def measure(
    vectors: int,
    queries: int,
    dimensions: Sequence[int],
    device: str,
    rounds: int,
    shown: bool = False,
) -> list[dict[str, object]]:
    """Return a row of results for each dimension."""
    import torch

    rows = []
    for dimension in dimensions:
        with tempfile.TemporaryDirectory(prefix="hnmine-search-") as folder:
            case = Case(vectors, queries, dimension, device, Path(folder) / "dense")
            rows.append(compared(case, rounds, shown))
            del case
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return rows


def about(device: str) -> dict[str, object]:
    """Name the hardware and the versions."""
    import torch

    card = torch.cuda.get_device_name(device) if device.startswith("cuda") else "none"
    libraries = ("torch", "sentence-transformers", "numpy", "faiss-cpu")
    return {"card": card, "machine": machine(), "versions": versions(libraries)}


def main() -> None:
    """Measure, print a table, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[384, 1024])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a file for JSON")
    parser.add_argument("--profile", action="store_true", help="print what takes the time")
    given = parser.parse_args()
    start = time.perf_counter()
    sizes = given.vectors, given.queries, given.dimensions
    rows = measure(*sizes, given.device, given.rounds, given.profile)
    found = {**about(given.device), "rows": rows, "wall s": time.perf_counter() - start}
    shown = [name for name in rows[0] if name != "seconds"]
    print(f"{found['card']}, {found['versions']}, {found['wall s']:.0f} s in all")
    for name in shown:
        print(f"| {name} | " + " | ".join(str(row[name]) for row in rows) + " |")
    if given.output:
        given.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if not all(row["same scores"] and row["same bytes as on the CPU"] for row in rows):
        raise SystemExit("The results differ.")


if __name__ == "__main__":
    main()
