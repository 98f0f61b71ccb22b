"""`python -m benchmarks.leaderboard --data FOLDER`: miners as rows, collections as columns.

Each miner chooses negatives for the same queries, and a fixed student trains on each choice with
the same budget. The command writes benchmarks/LEADERBOARD.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, add_collections, parsed
from benchmarks.downstream.__main__ import MINE, train_all
from benchmarks.downstream.arms import (
    ARMS,
    BI_ENCODER,
    IN_BATCH,
    PEER,
    RANDOM_ARM,
    Arm,
)
from benchmarks.downstream.report import over_the_best, summary
from benchmarks.downstream.runs import Plan
from benchmarks.quality.__main__ import CROSS_ENCODER, ENCODER
from hnmine.training.reached import shown
from hnmine.training.retrieval_measures import NDCG
from hnmine.training.students import Recipe

FILE = ROOT / "benchmarks" / "LEADERBOARD.md"

ROWS = {
    RANDOM_ARM: "random documents",
    IN_BATCH: "none (in-batch only)",
    "BM25 top": "BM25, the nearest",
    PEER: "sentence-transformers, documented setting",
    "FlagEmbedding, ranks from 10": "FlagEmbedding, ranks from 10",
    "NV-Retriever, 95 %": "NV-Retriever, 95 % of the positive",
    BI_ENCODER: "hnmine, default",
}
"""The name of each arm in the table."""

WHOLE = Recipe(ENCODER, steps=64, max_length=64)
LINEAR = Recipe(ENCODER, steps=64, learning_rate=4e-4)


def main(given: list[str] | None = None) -> None:
    """Train all students that are not there yet, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaderboard", description=__doc__)
    add_collections(parser)
    parser.add_argument("--seeds", type=int, default=3, help="students of each row")
    parser.add_argument(
        "--linear", action="store_true", help="screen with linear students, in minutes"
    )
    more = {"nargs": 2, "action": "append", "default": []}
    parser.add_argument("--row", metavar=("NAME", "FLAGS"), help="flags of hnmine filter", **more)
    parser.add_argument(
        "--triples", metavar=("NAME", "FOLDER"), help="FOLDER/COLLECTION.parquet", **more
    )
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "bench" / "leaderboard")
    parser.add_argument("--page", type=Path, default=FILE, help="the file to write")
    arguments = parsed(parser, given)
    plan = Plan(
        output=(arguments.out / ("linear" if arguments.linear else "whole")).resolve(),
        encoder=ENCODER,
        cross_encoder=CROSS_ENCODER,
        mine=MINE,
        recipe=LINEAR if arguments.linear else WHOLE,
        adapter=arguments.linear,
        negatives=3,
        train=1024,
        evaluate=400,
        documents=3000,
        words=48,
    )
    arms = {shown_as: ARMS[name] for name, shown_as in ROWS.items()}
    arms |= {name: Arm(flags) for name, flags in arguments.row}
    arms |= {name: Arm("", triples=folder) for name, folder in arguments.triples}
    folders = [arguments.data / collection for collection in arguments.collections]
    results = summary(train_all(plan, folders, arms, arguments.seeds), [*ROWS.values()][:1])
    arguments.page.write_text(page(plan, results, arguments.seeds))
    print(arguments.page)


def page(plan: Plan, results: dict[str, dict[str, dict[str, Any]]], seeds: int) -> str:
    """Return the page: a row for each miner, the best geometric mean first."""
    random = ROWS[RANDOM_ARM]
    names = list(next(iter(results.values())))
    gain = {name: over_the_best(results, name, [random]) or 0.0 for name in names}
    student = "linear student (a matrix on frozen vectors)" if plan.adapter else "whole encoder"
    lines = [
        "# Leaderboard of miners",
        "",
        f"nDCG@10 of a {student}, trained on each miner's negatives.",
        f"The model is `{plan.recipe.model}`. It trains for {plan.recipe.steps} steps of "
        f"{plan.recipe.batch} rows, with {seeds} seeds.",
        f"Each of up to {plan.train:,} queries has {plan.negatives} negatives, and up to "
        f"{plan.evaluate:,} other queries measure.",
        f"Documents are cut after {plan.words} words. Each query searches the relevant documents "
        "and a random",
        "sample, so figures compare rows alone.",
        "",
        "Below each figure: the difference from random documents with its 95 % interval over",
        "queries; * where the interval excludes 0. The last column is the geometric mean of the",
        "ratios to random documents.",
        "",
        "| miner | " + " | ".join(results) + " | over random |",
        "|---|" + "---:|" * (len(results) + 1),
    ]
    for name in sorted(names, key=lambda name: -gain[name]):
        cells = [_cell(found[name], random) for found in results.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {gain[name]:+.1%} |")
    return "\n".join(lines) + HOW


def _cell(arm: dict[str, Any], random: str) -> str:
    apart = arm["over"].get(random)
    return f"{arm[NDCG]:.4f}" + (f"<br>{shown(apart)}" if apart else "")


HOW = """

## Remake it

`python -m benchmarks.leaderboard --data FOLDER` writes this page. FOLDER holds collections in
BEIR's layout, as Parquet. A second call trains only what is missing. `--linear` screens rows with
linear students in minutes; they rank miners only roughly.

## Add a row

- A choice by hnmine: `--row "my rule" "--depth 10"`, with flags of `hnmine filter`.
- Another miner: `--triples "my miner" ROWS`. ROWS/COLLECTION.parquet has the columns `query`,
  `positive`, `negative_1`, `negative_2` and so on. Mine for the queries, positives and documents in
  `runs/bench/leaderboard/whole/COLLECTION/`. The first call writes them.
"""


if __name__ == "__main__":
    main()
