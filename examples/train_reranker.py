r"""Fine-tune a cross-encoder on your own queries, and score the queries that it has not seen.

    python examples/train_reranker.py --corpus corpus.parquet \
        --queries queries.parquet --candidates runs/candidates --model MODEL --output runs/reranker

Queries are split into folds by a hash of their texts. A model trained on the other folds scores the
candidates of each fold. It trains on known positives and on negatives that `hnmine filter` chose by
the bi-encoder. The scores become a file of verdicts for `hnmine filter --judge`.
"""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from sentence_transformers.cross_encoder import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
)
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

from hnmine import filter_negatives
from hnmine.encode.locate import find_model

Rows = list[dict[str, Any]]


def main(given: list[str] | None = None) -> None:
    """Choose negatives, train a model per fold, score, and choose again."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--corpus", "--queries", "--candidates", "--output"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--model", required=True, help="a cross-encoder with PyTorch weights")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=-1, help="steps (default: one epoch; 0: none)")
    parser.add_argument("--max-length", type=int, default=256, help="maximum tokens per pair")
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16")
    arguments = parser.parse_args(given)
    output = arguments.output
    choose: dict[str, Any] = {"candidates": arguments.candidates, "overwrite": True}
    filter_negatives(**choose, output=output / "before")
    queries, documents = read(arguments.queries, "text"), read(arguments.corpus, "title", "text")
    columns = ["query_id", "doc_id", "label"]
    rows = pq.read_table(output / "before" / "scored", columns=columns).to_pylist()
    verdicts: Rows = []
    for fold in range(arguments.folds):
        own = [row for row in rows if fold_of(queries[row["query_id"]], arguments.folds) == fold]
        others = [row for row in rows if fold_of(queries[row["query_id"]], arguments.folds) != fold]
        model = CrossEncoder(str(find_model(arguments.model)), max_length=arguments.max_length)
        if arguments.steps:
            train(model, labelled(others, queries, documents), arguments)
        pairs = [(queries[row["query_id"]], documents[row["doc_id"]]) for row in own]
        for row, score in zip(own, judge(model, pairs, arguments.bf16), strict=True):
            verdict = {"query_id": row["query_id"], "corpus_id": row["doc_id"], "score": score}
            verdicts.append(verdict)
    pq.write_table(pa.Table.from_pylist(verdicts), output / "verdicts.parquet")
    chosen = filter_negatives(
        **choose, judge=[str(output / "verdicts.parquet")], output=output / "mined"
    )
    print(f"{len(verdicts):,} verdicts in {output / 'verdicts.parquet'}")
    print(f"{chosen.counts['negatives']:,} negatives in {chosen.path}")


def fold_of(query: str, folds: int) -> int:
    """Return the fold of a query; equal texts share a fold."""
    return int.from_bytes(sha256(query.casefold().encode()).digest()[:8]) % folds


def read(path: Path, *columns: str) -> dict[str, str]:
    """Read texts by id."""
    there = [name for name in columns if name in pq.read_schema(path).names]
    rows = pq.read_table(path, columns=["_id", *there]).to_pylist()
    return {str(row["_id"]): " ".join(row[name] or "" for name in there).strip() for row in rows}


def labelled(rows: Rows, queries: dict[str, str], documents: dict[str, str]) -> Dataset:
    """Return the known positives and the chosen negatives as pairs with a label of 1 or 0."""
    known = [row for row in rows if row["label"] is not None]
    return Dataset.from_dict(
        {
            "query": [queries[row["query_id"]] for row in known],
            "document": [documents[row["doc_id"]] for row in known],
            "label": [float(row["label"]) for row in known],
        }
    )


def train(model: CrossEncoder, pairs: Dataset, arguments: argparse.Namespace) -> None:
    """Train on labelled pairs; positives and negatives get the same total weight."""
    positives = sum(pairs["label"])
    weight = torch.tensor((len(pairs) - positives) / positives)
    CrossEncoderTrainer(
        model=model,
        train_dataset=pairs,
        loss=BinaryCrossEntropyLoss(model, pos_weight=weight),
        args=CrossEncoderTrainingArguments(
            output_dir=str(arguments.output / "checkpoints"),
            num_train_epochs=1,
            max_steps=arguments.steps,
            per_device_train_batch_size=32,
            learning_rate=2e-5,
            bf16=arguments.bf16,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to="none",
        ),
    ).train()


def judge(model: CrossEncoder, pairs: list[tuple[str, str]], bf16: bool) -> list[float]:
    """Return the model's probability that each pair is relevant."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        found = model.predict(pairs, activation_fn=torch.nn.Sigmoid(), convert_to_tensor=True)
    return [float(value) for value in found.float()]


if __name__ == "__main__":
    main()
