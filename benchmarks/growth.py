"""How time and memory grow with the corpus and with the queries, from the command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import RESULTS, measured, passages_and_queries, report

STEPS = (1, 2, 4, 8)
Strings = Any


def passages(texts: list[str], count: int) -> Strings:
    """Return so many distinct passages: sentences of real ones, put together anew."""
    random = np.random.default_rng(0)
    words = [text.split()[:60] for text in texts if len(text.split()) >= 20]
    made = []
    for number in range(count):
        one, other = (words[n] for n in random.integers(len(words), size=2))
        cut = int(random.integers(5, 15))
        made.append(" ".join([*one[:cut], *other[cut:], str(number)]))
    return made


def write_inputs(folder: Path, made: Strings, documents: int, queries: int) -> None:
    """Write a corpus and pairs; a query is some words of its positive."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"d{n}" for n in range(documents)]
    pq.write_table(pa.table({"id": ids, "text": made[:documents]}), folder / "corpus.parquet")
    step = documents // queries
    rows = range(0, step * queries, step)
    pairs = {
        "query": [" ".join(made[row].split()[3:10]) for row in rows],
        "positive": [made[row] for row in rows],
    }
    pq.write_table(pa.table(pairs), folder / "pairs.parquet")


def main() -> None:
    """Measure BM25 alone: what grows otherwise is the model's work, linear in texts and pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=2_000)
    arguments = parser.parse_args()
    documents, queries = arguments.documents, arguments.queries
    if arguments.quick:
        documents, queries = documents // 10, queries // 10
    _, texts, _ = next(passages_and_queries(arguments.data))
    made = passages(texts, documents * STEPS[-1])
    rows = [
        row
        for grows in ("corpus", "queries")
        for step in STEPS
        for row in _measure(made, documents, queries, grows, step, arguments.threads)
    ]
    report(f"growth_{documents}_{arguments.threads}", rows, ["numba", "pyarrow", "duckdb"])


def _measure(
    made: Strings, documents: int, queries: int, grows: str, step: int, threads: int
) -> list[dict[str, object]]:
    documents *= step if grows == "corpus" else 1
    queries *= step if grows == "queries" else 1
    folder = RESULTS / "growth"
    write_inputs(folder, made, documents, queries)
    given = ["--threads", str(threads), "--no-progress", "--overwrite"]
    index, candidates, mined = (str(folder / name) for name in ("index", "candidates", "mined"))
    pairs = ["--pairs", str(folder / "pairs.parquet")]
    stages = {
        "build-index": ["--corpus", str(folder / "corpus.parquet"), "--no-dense", "--index", index],
        "mine": ["--index", index, *pairs, "--output", candidates],
        "filter": ["--candidates", candidates, "--output", mined],
    }
    row: dict[str, object] = {
        "grows": f"{grows} x{step}",
        "threads": threads,
        "passages": f"{documents:,}",
        "queries": f"{queries:,}",
    }
    for stage, flags in stages.items():
        found = measured(["hnmine", stage, *flags, *given], threads)
        clock = "cpu" if threads == 1 else "wall"
        row |= {
            f"{stage}, {clock} s": f"{found[clock]:.1f}",
            f"{stage}, MB": f"{found['memory']:.0f}",
        }
    return [row]


if __name__ == "__main__":
    main()
