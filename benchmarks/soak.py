"""A long run of all stages on a large corpus: memory over time, descriptors, files left over.

The corpus is one of short texts with titles, such as the summaries of packages. A query is a title,
its positive the text; the encoder is static: the mean of a model's word embeddings, projected on
their main axes. Each stage is a process of its own and is looked at twice a second.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.common import MEGABYTE, RESULTS, Look, report, watched
from benchmarks.models import ENCODER

DIMENSION = 128
QUARTERS = 4


def write_inputs(data: Path, folder: Path, queries: int) -> None:
    """Write the texts as a corpus, and so many titles with their text as pairs."""
    table = pq.read_table(data / "corpus.parquet")
    table = table.filter(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(table["text"])), 0))
    folder.mkdir(parents=True, exist_ok=True)
    corpus = table.select(["_id", "text"]).rename_columns(["id", "text"])
    pq.write_table(corpus, folder / "corpus.parquet")
    step = max(1, table.num_rows // queries)
    pairs = table.take(np.arange(0, table.num_rows, step)[:queries])
    title = pc.replace_substring_regex(pairs["title"], "[-_.]+", " ")
    columns = {
        "query_id": pairs["_id"],
        "query": title,
        "positive": pairs["text"],
        "positive_id": pairs["_id"],
    }
    pq.write_table(pa.table(columns), folder / "pairs.parquet")


def write_encoder(folder: Path, dimension: int) -> None:
    """Write a static encoder in the layout of sentence-transformers."""
    from safetensors import safe_open
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    from hnmine.encode.locate import find_model

    source = find_model(ENCODER)
    with safe_open(source / "model.safetensors", "np") as weights:
        name = next(name for name in weights.keys() if name.endswith("word_embeddings.weight"))  # noqa: SIM118
        words = weights.get_tensor(name).astype(np.float64)
    words -= words.mean(axis=0)
    _, axes = np.linalg.eigh(words.T @ words)
    projected = (words @ axes[:, : -dimension - 1 : -1]).astype(np.float32)
    tokeniser = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokeniser.no_truncation()
    module = StaticEmbedding(tokeniser, embedding_weights=projected)
    SentenceTransformer(modules=[module]).save(str(folder))


def stages(folder: Path, root: Path) -> dict[str, list[str]]:
    """Return the command line of each stage, in order."""
    pairs = ["--pairs", str(folder / "pairs.parquet")]
    corpus = ["--corpus", str(folder / "corpus.parquet")]
    mined = ["--mined", str(root / "mined")]
    at = {name: str(root / name) for name in ("index", "candidates", "mined", "generated")}
    model = ["--encoder", str(folder / "encoder"), "--backend", "torch", "--device", "cpu"]
    return {
        "validate": ["validate", *corpus, *pairs, "--no-calibrate"],
        "build-index": ["build-index", *corpus, *model, "--index", at["index"]],
        "generate": ["generate", *corpus, *pairs, "--output", at["generated"]],
        "mine": ["mine", "--index", at["index"], *pairs, "--output", at["candidates"]],
        "filter": [
            *("filter", "--candidates", at["candidates"], "--output", at["mined"]),
            *("--max-uses", "20", "--deepen", "2"),
        ],
        "audit": ["audit", *mined],
        "mix": ["mix", *mined, "--by", "mochi:4", "--output", str(root / "mixed")],
        "export": ["export", *mined, "--to", "flagembedding", "--output", str(root / "export")],
        "report": ["report", at["mined"]],
        "batch": ["batch", *mined, "--output", str(root / "batches")],
    }


def left_over(root: Path) -> list[str]:
    """List what no finished run should leave behind."""
    patterns = ("**/.hnmine/tmp/*", "**/*.tmp", "**/.hnmine/bm25-counts", "**/.hnmine/short*")
    found = {path for pattern in patterns for path in root.glob(pattern)}
    return sorted(str(path.relative_to(root)) for path in found)


def row_of(stage: str, cpu: float, looks: list[Look], root: Path, directory: Path) -> Any:
    """Say of a stage what is bounded: memory in each quarter of its time, descriptors, files."""
    parts = np.array_split(np.arange(len(looks)), QUARTERS)
    held = [max((looks[n]["held_mb"] for n in part), default=0.0) for part in parts]
    size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    return {
        "stage": stage,
        "CPU s": round(cpu),
        "held MB, by quarter": ", ".join(f"{most:.0f}" for most in held),
        "mapped files MB, most": f"{max((look['files_mb'] for look in looks), default=0.0):.0f}",
        "descriptors, most": max((int(look["descriptors"]) for look in looks), default=0),
        "left over": len(left_over(root)),
        "directory MB": round(size / MEGABYTE),
    }


def main() -> None:
    """Run what is not done yet; each stage's looks are kept beside its directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with a corpus.parquet")
    parser.add_argument("--queries", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="some of the stages")
    arguments = parser.parse_args()
    root = RESULTS / f"soak-{arguments.queries}"
    folder = root / "data"
    if not (folder / "pairs.parquet").exists():
        write_inputs(arguments.data, folder, arguments.queries)
    if not (folder / "encoder" / "modules.json").exists():
        write_encoder(folder / "encoder", DIMENSION)
    rows = []
    for stage, given in stages(folder, root).items():
        kept = root / f"{stage}.json"
        if arguments.only and stage not in arguments.only:
            continue
        if not kept.exists():
            threads = ["--threads", str(arguments.threads)]
            command = [sys.executable, "-m", "hnmine", *given, *threads, "--no-progress"]
            cpu, looks = watched(command, root / f"{stage}.err")
            flag = "--index" if stage == "build-index" else "--output"
            directory = Path(given[given.index(flag) + 1]) if flag in given else root / "none"
            row = row_of(stage, cpu, looks, root, directory)
            kept.write_text(json.dumps({"row": row, "looks": looks}))
        rows.append(json.loads(kept.read_text())["row"])
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    report(f"soak_{arguments.queries}", rows, ["faiss-cpu", "numba", "pyarrow", "duckdb"])


if __name__ == "__main__":
    main()
