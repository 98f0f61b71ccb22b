"""A `filter` with a cross-encoder against later ones with other rules, which read its logits.

The cross-encoder has one layer of random weights: what a first run takes is its model's work, and
what later ones take does not depend on the model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.common import RESULTS, measured, passages_and_queries, report
from benchmarks.growth import passages, write_inputs
from benchmarks.models import ENCODER

HNMINE = [sys.executable, "-m", "hnmine"]
DEPTH = 100
RULES = {
    "none: scores, learns, chooses": [],
    "a margin": ["--margin", "0.01"],
    "an expression": ["--where", "ce_score < pos(ce_score)"],
    "random of what is left": ["--where", "relevance < 1", "--sampling", "random"],
}


def write_model(folder: Path) -> None:
    """Write a small cross-encoder with a real tokeniser."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    from hnmine.encode.locate import find_model

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(find_model(ENCODER)))
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model(
        "bert", **small, intermediate_size=32, num_labels=1, vocab_size=len(tokenizer)
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Mine once, then filter by each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    folder = RESULTS / "second-filter"
    _, texts, _ = next(passages_and_queries(arguments.data))
    made = passages(texts, arguments.documents)
    write_inputs(folder, made, arguments.documents, arguments.queries)
    write_model(folder / "model")
    given = ["--threads", str(arguments.threads), "--no-progress", "--overwrite"]
    index, candidates = str(folder / "index"), str(folder / "candidates")
    corpus, pairs = (str(folder / f"{name}.parquet") for name in ("corpus", "pairs"))
    hnmine = [*HNMINE, "build-index", "--corpus", corpus, "--no-dense", "--index", index]
    measured([*hnmine, *given], arguments.threads)
    hnmine = [*HNMINE, "mine", "--index", index, "--pairs", pairs, "--top-k", str(DEPTH)]
    measured([*hnmine, "--output", candidates, *given], arguments.threads)
    judged = ["--cross-encoder", str(folder / "model"), "--max-length", "32"]
    rows = []
    for name, rule in RULES.items():
        hnmine = [*HNMINE, "filter", "--candidates", candidates, *judged, *rule, *given]
        found = measured([*hnmine, "--output", str(folder / "mined")], arguments.threads)
        rows.append(
            {
                "rule": name,
                "queries, candidates each": f"{arguments.queries:,}, {DEPTH}",
                "threads": arguments.threads,
                "wall s": f"{found['wall']:.1f}",
                "CPU s": f"{found['cpu']:.1f}",
                "MB": f"{found['memory']:.0f}",
            }
        )
    report("second_filter", rows, ["torch", "duckdb"])


if __name__ == "__main__":
    main()
