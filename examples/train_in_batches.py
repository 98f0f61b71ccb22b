"""Fine-tune a sentence-transformers model on the batches of `hnmine batch`.

python examples/train_in_batches.py runs/batches --model MODEL --output runs/model
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch.utils.data import BatchSampler


class InBatches(BatchSampler):
    """Gives the trainer the batches in the order of the files."""

    def __init__(self, epoch: list[int], batch: list[int]) -> None:
        """Take the columns `epoch` and `batch`."""
        new = (np.diff(epoch) != 0) | (np.diff(batch) != 0)
        self.bounds = [0, *(np.flatnonzero(new) + 1).tolist(), len(batch)]
        self.batch_size = int(np.diff(self.bounds).max())
        self.drop_last = False

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of each batch."""
        for first, last in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            yield list(range(first, last))

    def __len__(self) -> int:
        """Count the batches."""
        return len(self.bounds) - 1

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the files hold all epochs."""


def train(batches: Path, model: SentenceTransformer, output: Path, **arguments: Any) -> Any:
    """Train on every batch once and return the trainer's metrics."""
    files = sorted(map(str, (batches / "train").glob("*.parquet")))
    rows = load_dataset("parquet", data_files=files, split="train")
    sampler = InBatches(rows["epoch"][:], rows["batch"][:])
    trainer = SentenceTransformerTrainer(
        model=model,
        # Every column that is left is an input of the loss.
        train_dataset=rows.remove_columns(["epoch", "batch"]),
        loss=MultipleNegativesRankingLoss(model),
        args=SentenceTransformerTrainingArguments(
            output_dir=str(output),
            num_train_epochs=1,
            per_device_train_batch_size=sampler.batch_size,
            batch_sampler=lambda dataset, **_: sampler,
            **arguments,
        ),
    )
    return trainer.train()


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("batches", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    model = SentenceTransformer(arguments.model)
    print(train(arguments.batches, model, arguments.output, report_to="none"))
    model.save(str(arguments.output))


if __name__ == "__main__":
    main()
