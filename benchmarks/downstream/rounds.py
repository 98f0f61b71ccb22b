"""`python -m benchmarks.downstream.rounds --data FOLDER`: mine with the student, train it again.

As ANCE and ADORE do, between rounds instead of during training: the student searches, the nearest
that are far below the positive become its negatives, it trains on, and is measured. Beside it the
same student with the negatives of the first round in all rounds, and with a random one in the place
of the third.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.common import add_collections, parsed
from benchmarks.downstream.__main__ import MINE
from benchmarks.downstream.runs import Plan, held_out, prepare, student
from benchmarks.quality.__main__ import CROSS_ENCODER, ENCODER
from hnmine.encode.declared import OF_DOCUMENTS, OF_QUERIES
from hnmine.training.retrieval_measures import NDCG as MEASURE
from hnmine.training.retrieval_measures import difference
from hnmine.training.student_rows import Rows
from hnmine.training.students import Recipe, encode, train

STATIC = "the same negatives"
FRESH, MIXED = "mined again", "mined again, one of three random"
GAP = 0.1
"""Cosine that a negative is below the positive, at least."""

NEGATIVES = 3


def main(given: list[str] | None = None) -> None:
    """Run all rounds, print a table and write rounds.json."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.downstream.rounds", description=__doc__
    )
    add_collections(parser)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=64, help="in each round")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/downstream"))
    arguments = parsed(parser, given)
    plan = Plan(
        output=arguments.out.resolve(),
        encoder=ENCODER,
        cross_encoder=CROSS_ENCODER,
        mine=MINE,
        recipe=Recipe(ENCODER, arguments.steps, learning_rate=4e-4),
        adapter=True,
        negatives=NEGATIVES,
        train=512,
        evaluate=400,
        documents=10_000,
        words=64,
    )
    lines, found = [], {}
    for collection in arguments.collections:
        home = prepare(plan, arguments.data / collection)
        reached: dict[str, list[list[list[float]]]] = {}
        for name in (STATIC, FRESH, MIXED):
            by_seed = [
                rounds(plan, home, name, n, arguments.rounds) for n in range(arguments.seeds)
            ]
            reached[name] = np.mean(by_seed, axis=0).tolist()
        found[collection] = {
            name: np.mean(values, axis=1).tolist() for name, values in reached.items()
        }
        for name, values in reached.items():
            cells = []
            for n, after in enumerate(values):
                apart = difference(np.array(after), np.array(reached[STATIC][n]))
                cells.append(
                    f"{np.mean(after):.4f} {apart['mean']:+.4f} "
                    f"({apart['low']:+.4f} to {apart['high']:+.4f})"
                )
            lines.append(f"| {collection} | {name} | " + " | ".join(cells) + " |")
    heads = [f"{MEASURE} after round {n + 1}" for n in range(arguments.rounds)]
    table = [
        "| collection | negatives | " + " | ".join(heads) + " |",
        "|---|---|" + "---|" * len(heads),
    ]
    print("\n".join([*table, *lines]))
    (plan.output / "rounds.json").write_text(json.dumps(found, indent=2) + "\n")


def rounds(plan: Plan, home: Path, name: str, seed: int, number: int) -> list[list[float]]:
    """Return the measure of each held-out query after each round.

    Args:
        plan: the settings of each round.
        home: of `runs.prepare`.
        name: which negatives.
        seed: of the draws and of training.
        number: of rounds.
    """
    model = student(plan, home)
    reached = []
    for n in range(number):
        if n == 0 or name != STATIC:
            rows = Rows.of_table(mined(model, home, name == MIXED, seed + 100 * n), home)
        train(model, [rows], plan.recipe, seed + 100 * n)
        reached.append(held_out(home).measure(model)[MEASURE].tolist())
    return reached


def mined(model: Any, home: Path, mixed: bool, seed: int) -> pa.Table:
    """Search with the student, and lay out each query's positive and negatives.

    Args:
        model: the student.
        home: of `runs.prepare`.
        mixed: whether the last negative is a random document.
        seed: of the random documents.
    """
    tables = {
        name: pq.read_table(home / f"{name}.parquet").to_pydict()
        for name in ("corpus", "queries", "qrels")
    }
    texts = dict(zip(tables["corpus"]["_id"], tables["corpus"]["text"], strict=True))
    documents = list(dict.fromkeys(texts.values()))
    place = {text: n for n, text in enumerate(documents)}
    asked = dict(zip(tables["queries"]["_id"], tables["queries"]["text"], strict=True))
    pairs = list(zip(tables["qrels"]["query_id"], tables["qrels"]["corpus_id"], strict=True))
    queries = [asked[query] for query, _ in pairs]
    own = np.array([place[texts[document]] for _, document in pairs])
    scores = encode(model, queries, OF_QUERIES) @ encode(model, documents, OF_DOCUMENTS).T
    chosen = nearest(scores, own)
    if mixed:
        chosen[:, -1] = np.random.default_rng(seed).integers(len(documents), size=len(own))
    columns = {f"negative_{n + 1}": [documents[d] for d in chosen[:, n]] for n in range(NEGATIVES)}
    return pa.table({"query": queries, "positive": [documents[d] for d in own], **columns})


def nearest(scores: NDArray[np.float32], own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the nearest documents that are at least `GAP` below each query's positive.

    Args:
        scores: cosines, shape (queries, documents).
        own: the positive of each query.
    """
    below = scores <= scores[np.arange(len(own)), own][:, None] - GAP
    found: NDArray[np.int64] = np.argsort(-np.where(below, scores, -2.0), axis=1, kind="stable")
    return found[:, :NEGATIVES].copy()


if __name__ == "__main__":
    main()
