"""How time and memory grow with the corpus and with the queries, from the command line."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import RESULTS, passages_and_queries, report, watched
from benchmarks.soak import write_encoder

GROWS = ("corpus", "queries")
DIMENSION = 384
CHUNK = 100_000


def each_passage(texts: list[str]) -> Iterator[str]:
    """Yield distinct passages without end: halves of two real ones, and a number."""
    random = np.random.default_rng(0)
    words = [text.split()[:60] for text in texts if len(text.split()) >= 20]
    for number in count():
        one, other = (words[n] for n in random.integers(len(words), size=2))
        cut = int(random.integers(5, 15))
        yield " ".join([*one[:cut], *other[cut:], str(number)])


def passages(texts: list[str], count: int) -> list[str]:
    """Return so many of them."""
    return list(islice(each_passage(texts), count))


def write_inputs(folder: Path, made: Iterable[str], documents: int, queries: int) -> None:
    """Write a corpus and pairs; a query is some words of its positive."""
    folder.mkdir(parents=True, exist_ok=True)
    step, positives, left = documents // queries, [], islice(made, documents)
    schema = pa.schema({"id": pa.string(), "text": pa.string()})
    with pq.ParquetWriter(folder / "corpus.parquet", schema) as writer:
        for start in range(0, documents, CHUNK):
            texts = list(islice(left, CHUNK))
            ids = [f"d{start + n}" for n in range(len(texts))]
            writer.write_table(pa.table({"id": ids, "text": texts}, schema))
            positives += texts[-start % step :: step]
    del positives[queries:]
    asked = [" ".join(text.split()[3:10]) for text in positives]
    pq.write_table(pa.table({"query": asked, "positive": positives}), folder / "pairs.parquet")


def main() -> None:
    """Measure with BM25 and a static encoder: a model's own work is linear in texts and pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a tenth, first and last step")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--grows", nargs="+", choices=GROWS, default=GROWS)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8])
    arguments = parser.parse_args()
    documents, queries = arguments.documents, arguments.queries
    steps = arguments.steps
    if arguments.quick:
        documents, queries, steps = documents // 10, queries // 10, [min(steps), max(steps)]
    _, texts, _ = next(passages_and_queries(arguments.data))
    write_encoder(RESULTS / "growth" / "encoder", DIMENSION)
    rows = []
    for grows in arguments.grows:
        for step in steps:
            more, asked = (step, 1) if grows == "corpus" else (1, step)
            rows.append(
                {"grows": f"{grows} x{step}"}
                | _measure(texts, documents * more, queries * asked, arguments.threads)
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    report(
        f"growth_{documents}_{queries}_{arguments.threads}", rows, ["numba", "pyarrow", "duckdb"]
    )


def _measure(texts: list[str], documents: int, queries: int, threads: int) -> dict[str, object]:
    folder = RESULTS / "growth"
    write_inputs(folder, each_passage(texts), documents, queries)
    given = ["--threads", str(threads), "--no-progress"]
    index, candidates, mined = (str(folder / name) for name in ("index", "candidates", "mined"))
    pairs = ["--pairs", str(folder / "pairs.parquet")]
    corpus = ["--corpus", str(folder / "corpus.parquet"), "--encoder", str(folder / "encoder")]
    stages = {
        "build-index": [*corpus, "--backend", "torch", "--index", index],
        "mine": ["--index", index, *pairs, "--output", candidates],
        "filter": ["--candidates", candidates, "--output", mined],
    }
    row: dict[str, object] = {
        "threads": threads,
        "passages": f"{documents:,}",
        "queries": f"{queries:,}",
    }
    for directory in (index, candidates, mined):
        shutil.rmtree(directory, ignore_errors=True)
    for stage, flags in stages.items():
        command = [sys.executable, "-m", "hnmine", stage, *flags, *given]
        cpu, looks = watched(command, folder / f"{stage}.err")
        held = max(look["held_mb"] for look in looks)
        both = max(look["held_mb"] + look["files_mb"] for look in looks)
        row |= {
            f"{stage}, CPU s": f"{cpu:.1f}",
            f"{stage}, MB held (with mapped files)": f"{held:.0f} ({both:.0f})",
        }
    return row


if __name__ == "__main__":
    main()
