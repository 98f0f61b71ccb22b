"""`python -m benchmarks.quality.own_reranker --data FOLDER`: does one's own cross-encoder help?

examples/train_reranker.py runs on a collection with one known positive for each query, once without
training and once with it. Both judge every candidate by the same starting weights, so what differs
is what the training on the other folds' queries taught. Of both: how often a hidden positive is
above a candidate that nobody judged relevant (the mean over queries of the area under the curve),
the lowest false-negative rate of a cut of the verdict at a yield of 0.9, and the rate, yield and
mean rank of what `hnmine filter` chooses with them.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.common import ROOT, add_collections, parsed
from benchmarks.quality.__main__ import ENCODER
from benchmarks.quality.evaluate import Floats, lowest_rate, measure
from benchmarks.quality.protocol import GRADES, read_judged, split
from benchmarks.quality.runs import hnmine
from benchmarks.quality.table import Table, load
from benchmarks.reranker import write_reranker

SCRIPT = ROOT / "examples" / "train_reranker.py"

ASKED = 5
"""Negatives for each query, as the example asks for."""

JUDGES = ("dense_score", "verdict")


def main(given: list[str] | None = None) -> None:
    """Print and write what each collection's candidates look like before and after training."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_collections(parser)
    parser.add_argument("--queries", type=int, default=128)
    parser.add_argument("--mine", default="--source dense --top-k 20", help="flags of hnmine mine")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--train", default="--max-length 128", help="further flags of the example")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/own_reranker"))
    arguments = parsed(parser, given)
    results = {name: of_collection(arguments, name) for name in arguments.collections}
    (arguments.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def of_collection(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """Mine once, and judge with untrained and with trained models."""
    collection, home = arguments.data / name, (arguments.out / name).resolve()
    grade = GRADES.get(name, 1.0)
    split(collection, home, arguments.queries, 0, grade)
    judged = read_judged(collection, home, grade)
    corpus = collection / "corpus.parquet"
    hnmine(
        *("build-index", "--corpus", corpus, "--encoder", ENCODER, "--index", home / "index"),
        *("--on-bad-row", "skip"),
    )
    asked = ("--queries", home / "queries.parquet", "--qrels", home / "qrels.parquet")
    mine = ("mine", "--index", home / "index", *asked, "--output", home / "candidates")
    hnmine(*mine, *shlex.split(arguments.mine))
    model = write_reranker(arguments.out / "model")
    found = {}
    for steps in (0, arguments.steps):
        output = home / f"steps-{steps}"
        subprocess.run(
            [
                *(sys.executable, SCRIPT, "--corpus", corpus, "--model", model),
                *("--queries", home / "queries.parquet", "--candidates", home / "candidates"),
                *("--output", output, "--steps", str(steps), *shlex.split(arguments.train)),
            ],
            check=True,
        )
        if not steps:
            found["bi-encoder alone"] = described(load(output / "before", home / "index", judged))
        found[f"{steps} steps"] = described(load(output / "mined", home / "index", judged))
    return found


def described(table: Table) -> dict[str, Any]:
    """Return how well the verdicts tell hidden positives, and what was chosen."""
    judges = {name: table.judges[name] for name in JUDGES if name in table.judges}
    return {
        "area": {name: area(table, name) for name in judges},
        "at yield 0.9": {name: at_yield(table, score) for name, score in judges.items()},
        "chosen": measure(table.pool, table.selected, ASKED)._asdict(),
    }


def at_yield(table: Table, score: Floats) -> float:
    """Return the lowest false-negative rate of a cut that leaves nine in ten of what was asked."""
    point = lowest_rate(table.pool, score, ASKED, min_yield=0.9, max_rank=np.inf)
    return point.rate if point else np.nan


def area(table: Table, judge: str) -> float:
    """Return the mean over queries of the share of pairs that a score puts in order; ties half."""
    found = []
    for query in range(table.pool.queries):
        own = table.pool.query == query
        hidden, score = table.pool.hidden[own], table.judges[judge][own]
        ones, zeros = int(hidden.sum()), int((~hidden).sum())
        if ones and zeros:
            above = rankdata(score)[hidden].sum() - ones * (ones + 1) / 2
            found.append(above / (ones * zeros))
    return float(np.mean(found))


if __name__ == "__main__":
    main()
