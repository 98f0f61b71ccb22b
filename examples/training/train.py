"""Fine-tune a sentence-transformers model on mined data.

python examples/training/train.py runs/mined --model MODEL --output runs/model
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from datasets import load_dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import (
    DistillKLDivLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.training_args import BatchSamplers

from hnmine.encode.locate import find_model
from hnmine.exports.teacher_scores import (
    STUDENT_TEMPERATURE,
    TEACHER_TEMPERATURE,
    teacher_labels,
)


def main(given: list[str] | None = None) -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a mined or exported directory")
    parser.add_argument("--model", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=-1, help="steps (default: one epoch)")
    arguments = parser.parse_args(given)
    model = SentenceTransformer(str(find_model(arguments.model)))
    rows = load_dataset(str(arguments.data), split="train")
    if "scores" in rows.column_names:
        # As the teacher gave them, the positive's first: no cosine can follow raw logits.
        labels = teacher_labels(np.array(rows["scores"], dtype=np.float64))
        rows = rows.remove_columns("scores").add_column("label", labels.tolist())
    if "label" in rows.column_names:
        loss = DistillKLDivLoss(
            model,
            student_temperature=STUDENT_TEMPERATURE,
            teacher_temperature=TEACHER_TEMPERATURE,
        )
    else:
        loss = MultipleNegativesRankingLoss(model)
    trainer = SentenceTransformerTrainer(
        model=model,
        train_dataset=rows,
        loss=loss,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(arguments.output / "checkpoints"),
            num_train_epochs=1,
            max_steps=arguments.steps,
            per_device_train_batch_size=16,
            learning_rate=2e-5,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            save_strategy="no",
            report_to="none",
        ),
    )
    trainer.train()
    model.save_pretrained(str(arguments.output))
    print(f"{type(loss).__name__} on {len(rows):,} rows, saved to {arguments.output}")


if __name__ == "__main__":
    main()
