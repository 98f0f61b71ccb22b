r"""Mine, train the query encoder, and mine again with it (ADORE, SIGIR 2021).

The documents are encoded once. The second round searches the same vectors with the student's query
encoder, and its candidates record the first round's decisions on the same pairs.

    python examples/two_rounds.py --corpus corpus.parquet --pairs pairs.parquet \\
        --encoder sentence-transformers/all-MiniLM-L6-v2 --output runs/rounds
"""

from __future__ import annotations

import argparse
from pathlib import Path

from datasets import load_dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from hnmine import build_index, filter_negatives, mine
from hnmine.encode.locate import find_model


def main(given: list[str] | None = None) -> None:
    """Run two rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=-1, help="steps (default: one epoch)")
    arguments = parser.parse_args(given)
    output = arguments.output
    index = output / "index"
    build_index(
        corpus=arguments.corpus, pairs=arguments.pairs, encoder=arguments.encoder, index=index
    )
    first = {"index": index, "pairs": arguments.pairs}
    mine(**first, output=output / "candidates-1")
    filter_negatives(candidates=output / "candidates-1", output=output / "mined-1")
    student = train(arguments.encoder, output / "mined-1", output / "student", arguments.steps)
    second = {"query_encoder": str(student), "previous": output / "mined-1"}
    mine(**first, **second, output=output / "candidates-2")
    result = filter_negatives(candidates=output / "candidates-2", output=output / "mined-2")
    print(f"{result.counts['negatives']:,} negatives of the second round in {result.path}")


def train(encoder: str, mined: Path, output: Path, steps: int) -> Path:
    """Train on the mined triplets, and return the folder of the model."""
    model = SentenceTransformer(str(find_model(encoder)), device="cpu")
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(output / "checkpoints"),
        num_train_epochs=1,
        max_steps=steps,
        per_device_train_batch_size=16,
        learning_rate=2e-5,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=load_dataset(str(mined), split="train"),
        loss=MultipleNegativesRankingLoss(model),
    )
    trainer.train()
    model.save_pretrained(str(output / "model"))
    return output / "model"


if __name__ == "__main__":
    main()
