r"""Train an embedding model from Parquet files, and measure it before and after.

Queries are split by a hash of their texts. The gain is measured on the held-out ones.

    python examples/train_embedder.py --corpus corpus.parquet \
        --queries queries.parquet --qrels qrels.parquet --model MODEL --output runs/embedder
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import load_dataset
from scipy.stats import ttest_rel
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.training_args import BatchSamplers

from hnmine import build_index, filter_negatives, mine
from hnmine.encode.locate import find_model

NDCG = ir_measures.nDCG @ 10
HELD_OUT = 0.3
"""Share of the queries, by a hash of their texts: no text is on both sides."""


def main(given: list[str] | None = None) -> None:
    """Split, mine, filter, train, and measure before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--corpus", "--queries", "--qrels", "--output"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--model", required=True, help="bi-encoder that mines and is then trained")
    parser.add_argument("--train", type=int, help="maximum training queries (default: all)")
    parser.add_argument("--held-out", type=int, help="maximum held-out queries (default: all)")
    parser.add_argument("--documents", type=int, help="judged documents and this many others")
    parser.add_argument("--max-length", type=int, default=96, help="maximum tokens per text")
    parser.add_argument("--steps", type=int, default=-1, help="steps (default: one epoch)")
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16")
    arguments = parser.parse_args(given)
    output = arguments.output
    split(arguments)
    build_index(corpus=output / "corpus.parquet", encoder=arguments.model, index=output / "index")
    given_ = {"queries": output / "train-queries.parquet", "qrels": output / "train-qrels.parquet"}
    mine(index=output / "index", **given_, output=output / "candidates")
    chosen = filter_negatives(
        candidates=output / "candidates",
        output=output / "mined",
        format="n-tuple",
        num_negatives=3,
        overwrite=True,
    )
    model = SentenceTransformer(str(find_model(arguments.model)))
    model.max_seq_length = arguments.max_length
    before = measure(model, output, arguments.bf16)
    train(model, output, arguments.steps, arguments.bf16)
    after = measure(model, output, arguments.bf16)
    model.save_pretrained(str(output / "model"))
    gain = ttest_rel(after, before)
    low, high = gain.confidence_interval(0.95)
    print(f"{chosen.counts['negatives']:,} negatives")
    print(f"nDCG@10 of {len(before):,} held-out queries: {np.mean(before):.4f} before,")
    print(f"{np.mean(after):.4f} after: {np.mean(after) - np.mean(before):+.4f}")
    print(f"(95 % interval {low:+.4f} to {high:+.4f}), saved to {output / 'model'}")


def split(arguments: argparse.Namespace) -> None:
    """Write the corpus, and the queries and judgements for training and evaluation."""
    texts = read(arguments.queries, "text")
    judged = [
        row
        for row in pq.read_table(arguments.qrels).to_pylist()
        if row["score"] >= 1 and str(row["query_id"]) in texts
    ]
    asked = by_hash({str(row["query_id"]): texts[str(row["query_id"])] for row in judged})
    sides = {
        "train": [query for query, place in asked if place >= HELD_OUT][: arguments.train],
        "held-out": [query for query, place in asked if place < HELD_OUT][: arguments.held_out],
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    needed: set[str] = set()
    for side, queries in sides.items():
        own = set(queries)
        rows = [row for row in judged if str(row["query_id"]) in own]
        needed |= {str(row["corpus_id"]) for row in rows}
        table = pa.table({"_id": queries, "text": [texts[query] for query in queries]})
        pq.write_table(table, arguments.output / f"{side}-queries.parquet")
        pq.write_table(pa.Table.from_pylist(rows), arguments.output / f"{side}-qrels.parquet")
    corpus = read(arguments.corpus, "title", "text")
    others = [(key, text) for key, text in corpus.items() if key not in needed]
    some = [key for key, _ in by_hash(dict(others))][: arguments.documents]
    kept = [key for key in corpus if key in needed | set(some)]
    table = pa.table({"_id": kept, "text": [corpus[key] for key in kept]})
    pq.write_table(table, arguments.output / "corpus.parquet")


def read(path: Path, *columns: str) -> dict[str, str]:
    """Read non-blank texts by id."""
    there = [name for name in columns if name in pq.read_schema(path).names]
    rows = pq.read_table(path, columns=["_id", *there]).to_pylist()
    found = {str(row["_id"]): " ".join(row[name] or "" for name in there).strip() for row in rows}
    return {key: text for key, text in found.items() if text}


def by_hash(texts: dict[str, str]) -> list[tuple[str, float]]:
    """Return ids with a position from 0 to 1 by the hash of their texts, sorted by position."""
    hashes = {key: sha256(text.casefold().encode()).digest() for key, text in texts.items()}
    found = [(key, int.from_bytes(hashed[:8]) / 2**64) for key, hashed in hashes.items()]
    return sorted(found, key=lambda one: (one[1], one[0]))


def train(model: SentenceTransformer, output: Path, steps: int, bf16: bool) -> None:
    """Train on the mined rows with in-batch negatives."""
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(output / "checkpoints"),
        num_train_epochs=1,
        max_steps=steps,
        per_device_train_batch_size=32,
        learning_rate=2e-5,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
    )
    SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=load_dataset(str(output / "mined"), split="train"),
        loss=MultipleNegativesRankingLoss(model),
    ).train()


def measure(model: SentenceTransformer, output: Path, bf16: bool) -> list[float]:
    """Return nDCG@10 of each held-out query, in the order of their ids."""
    queries, corpus = (
        read(output / name, "text") for name in ("held-out-queries.parquet", "corpus.parquet")
    )
    scores = encode(model, queries.values(), bf16) @ encode(model, corpus.values(), bf16).T
    ids = list(corpus)
    run = {
        query: {ids[place]: float(row[place]) for place in np.argsort(-row, kind="stable")[:10]}
        for query, row in zip(queries, scores, strict=True)
    }
    qrels: dict[str, dict[str, int]] = {query: {} for query in run}
    for row in pq.read_table(output / "held-out-qrels.parquet").to_pylist():
        qrels[str(row["query_id"])][str(row["corpus_id"])] = 1
    found = {one.query_id: one.value for one in ir_measures.iter_calc([NDCG], qrels, run)}
    return [found[query] for query in sorted(run)]


def encode(model: SentenceTransformer, texts: Iterable[str], bf16: bool) -> Any:
    """Return unit vectors, shape (texts, dimension)."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        vectors = model.encode(list(texts), batch_size=128, normalize_embeddings=True)
    return np.asarray(vectors, dtype=np.float32)


if __name__ == "__main__":
    main()
