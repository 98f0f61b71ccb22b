"""Train a student on what `hnmine filter` wrote, and measure it on the held-out queries."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from benchmarks.downstream.adapter import Remembered, adapter, remember
from hnmine.encode.locate import find_model
from hnmine.exports.teacher_scores import (
    STUDENT_TEMPERATURE,
    TEACHER_TEMPERATURE,
    teacher_labels,
)

MEASURES = ("nDCG@10", "R@100", "RR@10")
DEPTH = 100
TEXTS_AT_ONCE = 128

DISTILLATIONS = RAW, SCALED, NOT_PINNED, PINNED = (
    "MarginMSE, raw scores",
    "MarginMSE, scaled scores",
    "KL",
    "KL, positive pinned",
)
"""Ways to learn from the teacher's scores: two losses, and what is done to the scores before."""


@dataclass(frozen=True)
class Training:
    """How every student of a comparison is trained.

    Args:
        model: the student before training.
        steps: of all arms alike; data that ends sooner is gone through again.
        batch: rows in a step.
        learning_rate: at its highest, after a tenth of the steps.
        max_length: tokens of any text, in training and after.
        adapter: train a matrix on the frozen encoder's vectors, see `adapter`.
        bf16: compute in bfloat16 where the weights stay in float32.
    """

    model: str
    steps: int
    batch: int = 32
    learning_rate: float = 2e-5
    max_length: int = 96
    adapter: bool = False
    bf16: bool = True


def train(
    model: Any,
    data: Path,
    columns: list[str] | None,
    training: Training,
    seed: int,
    hardness: float = 0.0,
    distillation: str = "",
) -> None:
    """Train a student on the rows of a mined directory as they are.

    The loss is contrastive, with the other rows' documents as further negatives, unless a way to
    distil the column `scores` is named.

    Args:
        model: the student; it is changed.
        data: a mined or an exported directory.
        columns: those to train on; all without it.
        training: how.
        seed: of the order of the rows, and of dropout.
        hardness: by which the contrastive loss weighs hard negatives more; 0 for all alike.
        distillation: one of `DISTILLATIONS`, or empty.
    """
    from datasets import load_dataset  # type: ignore[import-untyped]
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.training_args import BatchSamplers

    if training.adapter:
        torch.set_num_threads(1)  # More would wait for each other: the products are small.
    with tempfile.TemporaryDirectory() as scratch:
        rows = load_dataset(str(data), split="train", cache_dir=scratch)
        if columns:
            rows = rows.select_columns(columns)
        if distillation:
            labels = _labels(np.array(rows["scores"]), distillation)
            rows = rows.remove_columns("scores").add_column("label", labels.tolist())
        SentenceTransformerTrainer(
            model=model,
            train_dataset=rows,
            loss=_loss(model, hardness, distillation),
            args=SentenceTransformerTrainingArguments(
                output_dir=scratch,
                max_steps=training.steps,
                per_device_train_batch_size=training.batch,
                learning_rate=training.learning_rate,
                warmup_steps=training.steps // 10,
                batch_sampler=BatchSamplers.NO_DUPLICATES,
                bf16=training.bf16,
                optim="adamw_torch_fused",
                use_cpu=not torch.cuda.is_available(),
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
                seed=seed,
            ),
        ).train()


def _labels(scores: NDArray[np.float64], distillation: str) -> NDArray[np.float64]:
    """Return the labels of a distillation, shape (rows, documents)."""
    return scores if distillation == RAW else teacher_labels(scores, distillation == PINNED)


def _loss(model: Any, hardness: float, distillation: str) -> torch.nn.Module:
    """Return the contrastive loss, or that of a distillation."""
    from sentence_transformers import losses

    if distillation in (RAW, SCALED):
        return losses.MarginMSELoss(model)
    if distillation:
        temperatures = {
            "student_temperature": STUDENT_TEMPERATURE,
            "teacher_temperature": TEACHER_TEMPERATURE,
        }
        return losses.DistillKLDivLoss(model, **temperatures)
    return losses.MultipleNegativesRankingLoss(
        model,
        hardness_mode="hard_negatives" if hardness else None,
        hardness_strength=hardness,
    )


def student(training: Training, home: Path) -> Any:
    """Return the untrained student.

    Args:
        training: how it will be trained.
        home: the prepared collection.
    """
    from sentence_transformers import SentenceTransformer

    if training.adapter:
        return adapter(*remember(home, training.model))
    model = SentenceTransformer(str(find_model(training.model)))
    model.max_seq_length = training.max_length
    return model


def measure(model: Any, held_out: Path) -> dict[str, list[float]]:
    """Return each measure for each held-out query, in the order of their ids."""
    import ir_measures

    tables = {
        name: pq.read_table(held_out / f"{name}.parquet").to_pydict()
        for name in ("corpus", "queries", "qrels")
    }
    documents, queries = (encode(model, tables[name]["text"]) for name in ("corpus", "queries"))
    scores = queries @ documents.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    ids = tables["corpus"]["_id"]
    run = {
        query: {ids[place]: float(scores[row, place]) for place in best[row]}
        for row, query in enumerate(tables["queries"]["_id"])
    }
    qrels: dict[str, dict[str, int]] = {query: {} for query in run}
    for query, document in zip(
        tables["qrels"]["query_id"], tables["qrels"]["corpus_id"], strict=True
    ):
        qrels[query][document] = 1
    asked = [ir_measures.parse_measure(name) for name in MEASURES]
    found: dict[str, dict[str, float]] = {name: {} for name in MEASURES}
    for one in ir_measures.iter_calc(asked, qrels, run):
        found[str(one.measure)][one.query_id] = one.value
    return {name: [values[query] for query in sorted(run)] for name, values in found.items()}


def encode(model: Any, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return unit vectors, shape (texts, dimension), computed in bfloat16 where that is faster."""
    device = str(model.device).partition(":")[0]
    whole = not isinstance(model[0], Remembered)
    with torch.autocast(device, torch.bfloat16, enabled=whole):
        vectors = model.encode(
            texts, batch_size=TEXTS_AT_ONCE, show_progress_bar=False, normalize_embeddings=True
        )
    return np.asarray(vectors, dtype=np.float32)
