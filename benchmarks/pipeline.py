"""The whole pipeline against `mine_hard_negatives`: same models, pairs, corpus and depth.

Each runs as a process of its own, in turn, so that loading models, memory and everything else
counts. hnmine runs all of it from the command line, with every candidate scored and with --lazy.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import RESULTS, measured, ratio, report, spread, stdlib
from benchmarks.models import ENCODER
from benchmarks.reranker import write_reranker

DEPTH, ASKED, MARGIN = 40, 5, 3.0
OUTPUT = RESULTS / "pipeline" / "run"


def peer(folder: Path, model: str, judge: str) -> None:
    """Mine with sentence-transformers; called in a process of its own."""
    from datasets import Dataset
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    from hnmine.encode.locate import find_model

    pairs = pq.read_table(folder / "pairs.parquet").select(["query", "positive"])
    mined = mine_hard_negatives(
        Dataset(pairs),
        SentenceTransformer(str(find_model(model)), device="cpu"),
        corpus=pq.read_table(folder / "corpus.parquet")["text"].to_pylist(),
        cross_encoder=CrossEncoder(judge, device="cpu"),
        absolute_margin=MARGIN,
        range_max=DEPTH,
        num_negatives=ASKED,
        sampling_strategy="top",
        verbose=False,
    )
    print(len(mined))


def sample(data: Path | None, queries: int, documents: int) -> Path:
    """Write pairs and a corpus that holds their positives, and return the folder."""
    folder = RESULTS / "pipeline" / f"data-{queries}-{documents}"
    if (folder / "corpus.parquet").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    if data is None:
        corpus = pq.read_table(stdlib() / "corpus.parquet")
        texts = dict(zip(corpus["id"].to_pylist(), corpus["text"].to_pylist(), strict=True))
        found = pq.read_table(stdlib() / "pairs.parquet").to_pylist()
        pairs = [(row["query"], texts[row["positive_id"]]) for row in found]
    else:
        collection = data / "medquad"
        corpus = pq.read_table(collection / "corpus.parquet")
        texts = dict(zip(corpus["_id"].to_pylist(), corpus["text"].to_pylist(), strict=True))
        asked = pq.read_table(collection / "queries.parquet")
        query = dict(zip(asked["_id"].to_pylist(), asked["text"].to_pylist(), strict=True))
        judged = pq.read_table(collection / "qrels.parquet").to_pylist()
        pairs = [(query[row["query_id"]], texts[row["corpus_id"]]) for row in judged]
    step = max(1, len(pairs) // queries)
    pairs = pairs[::step][:queries]
    positives = list(dict.fromkeys(positive for _, positive in pairs))
    others = [text for text in dict.fromkeys(texts.values()) if text and text not in positives]
    step = max(1, len(others) // documents)
    kept = positives + others[::step][: documents - len(positives)]
    columns = {"query": [q for q, _ in pairs], "positive": [p for _, p in pairs]}
    pq.write_table(pa.table(columns), folder / "pairs.parquet")
    ids = [str(n) for n in range(len(kept))]
    pq.write_table(pa.table({"id": ids, "text": kept}), folder / "corpus.parquet")
    return folder


def commands(folder: Path, judge: str, threads: int) -> dict[str, list[str]]:
    """Return the command line of each contender."""
    python = [sys.executable, "-m"]
    run = [*python, "hnmine", "run", "--corpus", str(folder / "corpus.parquet"), "--no-bm25"]
    run += ["--pairs", str(folder / "pairs.parquet"), "--encoder", ENCODER, "--no-progress"]
    run += ["--top-k", str(DEPTH), "--num-negatives", str(ASKED), "--margin", str(MARGIN)]
    run += [
        "--output",
        str(OUTPUT),
        "--cross-encoder",
        judge,
        "--threads",
        str(threads),
        "--near-copy",
        "2",
    ]
    given = ["--peer", str(folder), "--judge", judge]
    return {
        "mine_hard_negatives": [*python, "benchmarks.pipeline", *given],
        "hnmine, fp32": [*run, "--dtype", "fp32"],
        "hnmine, bf16": run,
        "hnmine, --lazy, bf16": [*run, "--lazy"],
    }


def rows(
    found: Mapping[str, list[dict[str, float]]], threads: int, scale: str
) -> list[dict[str, object]]:
    """Compare what was measured; one thread by CPU time, more by wall time."""
    clock = "cpu" if threads == 1 else "wall"
    times = {name: [one[clock] for one in of_arm] for name, of_arm in found.items()}
    first = next(iter(times))
    return [
        {
            "what": name,
            "threads": threads,
            "queries, passages": scale,
            f"{clock} seconds": spread(times[name]),
            "times the peer": ratio(times[first], times[name]),
            "peak MB": spread([one["memory"] for one in found[name]]),
        }
        for name in found
    ]


def main() -> None:
    """Measure, or be the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--documents", type=int, default=1500)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--judge", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        peer(arguments.peer, ENCODER, arguments.judge)
        return
    judge = str(write_reranker(RESULTS / "reranker"))
    folder = sample(arguments.data, arguments.queries, arguments.documents)
    arms = commands(folder, judge, arguments.threads)
    found: dict[str, list[Any]] = {name: [] for name in arms}
    for _ in range(arguments.rounds):
        for name, command in arms.items():
            shutil.rmtree(OUTPUT, ignore_errors=True)
            found[name].append(measured(command, arguments.threads))
            print(name, json.dumps(found[name][-1]), file=sys.stderr, flush=True)
    scale = f"{arguments.queries}, {arguments.documents}"
    libraries = ["sentence-transformers", "torch", "transformers", "openvino"]
    name = f"pipeline_{arguments.threads}_{arguments.queries}"
    report(name, rows(found, arguments.threads, scale), libraries)


if __name__ == "__main__":
    main()
