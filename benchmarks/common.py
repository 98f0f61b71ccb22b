"""What the benchmarks share: texts to measure on, and how results are shown."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "runs" / "bench"
MEGABYTE = 1 << 20
SPEED = ("tech_docs_passages", "pkg_summaries")
"""Collections without judgements, together a million passages."""
LOOK_AGAIN = 0.5
Look = dict[str, float]
"""Seconds since the start; MB that the process holds for itself, and of files; descriptors."""


def stdlib() -> Path:
    """Return a folder with the corpus and the pairs of the standard library's docstrings."""
    folder = RESULTS / "stdlib"
    if not (folder / "pairs.parquet").exists():
        script = ROOT / "examples" / "python_stdlib" / "make_dataset.py"
        subprocess.run([sys.executable, script, "--output", folder], check=True)
    return folder


def collections(data: Path | None) -> list[Path]:
    """Return the folders of judged collections in a folder."""
    return sorted(folder.parent for folder in data.glob("*/qrels.parquet")) if data else []


def add_collections(parser: argparse.ArgumentParser) -> None:
    """Let a command take a folder of collections, and names of some of them."""
    parser.add_argument("--data", type=Path, required=True, help="a folder of collections")
    parser.add_argument("--collections", nargs="+", help="names; without it, all judged ones")


def parsed(parser: argparse.ArgumentParser, given: list[str] | None) -> argparse.Namespace:
    """Parse the command line, and check that the named collections are judged."""
    arguments = parser.parse_args(given)
    judged = [folder.name for folder in collections(arguments.data)]
    arguments.collections = arguments.collections or judged
    if not set(arguments.collections) <= set(judged):
        parser.error(f"{arguments.data} has judgements for: {', '.join(judged) or 'nothing'}")
    return arguments


def texts(path: Path) -> list[str]:
    """Read the texts of a corpus."""
    column: list[str] = pq.read_table(path)["text"].to_pylist()
    return column


def passages_and_queries(data: Path | None) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield the name, passages and queries of each corpus.

    They are the standard library's docstrings, or the training collections of a folder.
    """
    if data is None:
        folder = stdlib()
        yield "stdlib", texts(folder / "corpus.parquet"), queries_of(folder / "pairs.parquet")
        return
    for name in ("tech_docs_passages", "medquad", "nfcorpus"):
        if (data / name / "corpus.parquet").exists():
            folder = data / name
            documents = [text for text in texts(folder / "corpus.parquet") if text]
            yield name, documents, texts(folder / "queries.parquet") or cut_queries(documents)


def cut_queries(documents: Sequence[str], words: int = 8) -> list[str]:
    """Cut so many words out of the middle of every hundredth document, as its query."""
    split = [text.split() for text in documents[50::100]]
    starts = [max(0, len(found) - words) // 2 for found in split]
    return [" ".join(w[s : s + words]) for w, s in zip(split, starts, strict=True)]


def passages(data: Path | None) -> list[str]:
    """Return passages to measure speed on: those of a folder, or the docstrings."""
    if data is None:
        return texts(stdlib() / "corpus.parquet")
    return [text for name in SPEED for text in texts(data / name / "corpus.parquet") if text]


def queries_of(pairs: Path) -> list[str]:
    """Read the queries of pairs."""
    column: list[str] = pq.read_table(pairs)["query"].to_pylist()
    return column


def in_turn(
    arms: Mapping[str, Callable[[], Any]], rounds: int, *, cpu: bool
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Call each arm once a round, and return the seconds and the last result of each.

    Args:
        arms: what to call, by name.
        rounds: how often; a first round is not counted, as it compiles and warms up.
        cpu: take the CPU time of this process, which other processes hardly disturb.
    """
    clock = time.process_time if cpu else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    results: dict[str, Any] = {}
    for number in range(rounds + 1):
        for name, act in arms.items():
            start = clock()
            results[name] = act()
            if number:
                seconds[name].append(clock() - start)
    return seconds, results


def measured(command: list[str], threads: int) -> dict[str, float]:
    """Run a command, and return its wall and CPU seconds and its peak memory in MB."""
    settings = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | settings
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"It failed: {' '.join(command)}")
    return {
        "wall": time.perf_counter() - start,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * 1024 / MEGABYTE,
    }


def watched(command: list[str], errors: Path) -> tuple[float, list[Look]]:
    """Run a command; return its CPU seconds and what was seen of it."""
    looks: list[Look] = []
    start = time.monotonic()
    with errors.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            break
        if look := _look(process.pid):
            looks.append({"seconds": time.monotonic() - start, **look})
        time.sleep(LOOK_AGAIN)
    if process.returncode:
        raise SystemExit(f"It failed: {' '.join(command)}\n{errors.read_text()}")
    return usage.ru_utime + usage.ru_stime, looks


def _look(pid: int) -> Look:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return {}
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "RssAnon" not in fields:
        return {}
    held, of_files = (int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return {"held_mb": held, "files_mb": of_files, "descriptors": descriptors}


def ratio(peer: Sequence[float], ours: Sequence[float]) -> str:
    """Show how many times as fast we are, round by round."""
    return spread([theirs / own for theirs, own in zip(peer, ours, strict=True)])


def spread(values: Sequence[float]) -> str:
    """Show a median with its range."""
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def machine() -> dict[str, object]:
    """Describe the hardware: a ratio can depend on what the CPU multiplies fast."""
    file = Path("/proc/cpuinfo")
    about = file.read_text() if file.exists() else ""
    named = re.search(r"^model name\s*:\s*(.+)$", about, re.M)
    flags = set(about.split())
    fast = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    return {
        "cpu": named[1] if named else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)),
        "instructions": [name for name in fast if name in flags],
        "system": platform.platform(),
    }


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of hnmine and of libraries; packages that are not installed are named."""
    return {library: _version(library) for library in ("hnmine", *libraries)}


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def report(name: str, rows: Sequence[Mapping[str, object]], libraries: Sequence[str]) -> None:
    """Print rows as a Markdown table; write it and JSON, with versions and hardware."""
    about = {
        "machine": machine(),
        "python": platform.python_version(),
        "versions": versions(libraries),
        "command": " ".join(sys.orig_argv),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // MEGABYTE,
        "rows": list(rows),
    }
    columns = list(rows[0])
    lines = [f"### {name}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows]
    found = f"{about['machine']}; {about['versions']}"
    lines += ["", f"{found}; peak of the process {about['peak_mb']} MB"]
    page = "\n".join(lines) + "\n"
    print("\n" + page)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.md").write_text(page, encoding="utf-8")
    (RESULTS / f"{name}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
