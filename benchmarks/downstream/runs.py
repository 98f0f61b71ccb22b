"""The command line under test and the students: mine once, filter for each arm, train, measure."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.downstream.arms import Arm
from benchmarks.downstream.protocol import split
from benchmarks.downstream.student import Training, measure, student, train
from benchmarks.quality.runs import hnmine

UNTRAINED = "(untrained)"


@dataclass(frozen=True)
class Plan:
    """What is run on every collection.

    Args:
        output: where everything is kept; what is there already is used again.
        encoder: the bi-encoder that mines.
        cross_encoder: that judges.
        mine: further flags of `hnmine mine`.
        training: of every student.
        negatives: for each query.
        train: at most so many queries of a collection to train on.
        evaluate: at most so many to measure on.
        documents: at least so many to search in.
        words: every document is cut after so many.
    """

    output: Path
    encoder: str
    cross_encoder: str
    mine: str
    training: Training
    negatives: int
    train: int
    evaluate: int
    documents: int
    words: int


def prepare(plan: Plan, collection: Path) -> Path:
    """Split a collection, index it and mine its candidates; return its folder of results."""
    home = plan.output / collection.name
    if not (home / "candidates" / "manifest.json").exists():
        split(collection, home, plan.train, plan.evaluate, plan.documents, plan.words)
        corpus = ("--corpus", home / "corpus.parquet", "--encoder", plan.encoder)
        hnmine("build-index", *corpus, "--index", home / "index")
        given = ("--queries", home / "queries.parquet", "--qrels", home / "qrels.parquet")
        output = ("--output", home / "candidates", *shlex.split(plan.mine))
        hnmine("mine", "--index", home / "index", *given, *output)
    return home


def run(plan: Plan, home: Path, name: str, arm: Arm | None, seed: int) -> dict[str, Any]:
    """Return what one student reached, from its file or by training it.

    Args:
        plan: the settings.
        home: of `prepare`.
        name: of the arm.
        arm: that chooses the negatives; None leaves the student as it was.
        seed: of the choice, where it is by chance, and of training.
    """
    folder = home / "arms" / "".join(c if c.isalnum() else "-" for c in name)
    path = folder / f"seed-{seed}.json"
    setting = {"arm": arm and asdict(arm), "negatives": plan.negatives, **asdict(plan.training)}
    setting = json.loads(json.dumps(setting))
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text())
        if known["setting"] == setting:
            return known
    result: dict[str, Any] = {"setting": setting}
    model = student(plan.training, home)
    if arm is not None:
        drawn = seed if "--sampling" in arm.flags else 0  # Without a draw it is the same choice.
        mined = folder / f"mined-{drawn}"
        _filter(plan, home / "candidates", mined, arm, drawn)
        result["chosen"] = _chosen(mined)
        train(model, mined, list(arm.columns), plan.training, seed, arm.hardness, arm.distil)
    result["measures"] = measure(model, home / "held-out")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))
    return result


def _filter(plan: Plan, candidates: Path, mined: Path, arm: Arm, seed: int) -> None:
    judge = ("--cross-encoder", plan.cross_encoder) if arm.judged else ()
    asked = ("--format", "n-tuple", "--num-negatives", plan.negatives, "--seed", seed)
    flags = (*asked, *judge, *shlex.split(arm.flags), "--overwrite")
    hnmine("filter", "--candidates", candidates, "--output", mined, *flags)


def _chosen(mined: Path) -> dict[str, float]:
    """Return how many rows there are to train on, and how hard the negatives are."""
    table = pq.read_table(mined / "scored", columns=["selected", "dense_rank", "dense_score"])
    table = table.filter(table["selected"])
    return {
        "rows": pq.read_table(mined / "train").num_rows,
        "similarity": pc.mean(table["dense_score"]).as_py(),
        "rank": pc.mean(table["dense_rank"]).as_py(),
    }
