"""The command line under test and the students: mine once, filter for each arm, train, measure."""

from __future__ import annotations

import copy
import os
import shlex
import time
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.downstream import chosen_rows
from benchmarks.downstream.adapter import adapter, remember
from benchmarks.downstream.arms import Arm
from benchmarks.downstream.chosen_rows import Chosen
from benchmarks.downstream.protocol import split
from benchmarks.quality.runs import hnmine
from hnmine.runner.plan import Json, digest
from hnmine.training.held_out import HeldOut
from hnmine.training.runs import Run, once
from hnmine.training.student_rows import Rows
from hnmine.training.students import Recipe, load, train


@dataclass(frozen=True)
class Plan:
    """What is run on every collection.

    Args:
        output: where everything is kept; what is there already is used again.
        encoder: the bi-encoder that mines.
        cross_encoder: that judges.
        mine: further flags of `hnmine mine`.
        recipe: of every student.
        adapter: train a matrix on the frozen student's vectors, see `adapter`.
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
    recipe: Recipe
    adapter: bool
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
        _mine(plan, home, home, home / "candidates")
    return home


def _mine(plan: Plan, home: Path, asked: Path, candidates: Path) -> None:
    given = ("--queries", asked / "queries.parquet", "--qrels", asked / "qrels.parquet")
    output = ("--output", candidates, *shlex.split(plan.mine))
    hnmine("mine", "--index", home / "index", *given, *output)


def student(plan: Plan, home: Path) -> Any:
    """Return the untrained student.

    Args:
        plan: the settings.
        home: of `prepare`.
    """
    if plan.adapter:
        return adapter(*remember(home, plan.encoder, plan.recipe.model))
    own = Recipe(plan.recipe.model, 0, max_length=plan.recipe.max_length, device=plan.recipe.device)
    return copy.deepcopy(_loaded(own))


@lru_cache
def _loaded(recipe: Recipe) -> Any:
    return load(recipe)


def keep_threads() -> None:
    """Let PyTorch use OMP_NUM_THREADS again: FAISS sets the number for the whole process."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))


@lru_cache
def held_out(home: Path) -> HeldOut:
    """Return the held-out queries, ordered by id, and their documents."""
    return HeldOut.read(home / "held-out")


def choose(plan: Plan, home: Path, name: str, arm: Arm, seed: int) -> Chosen:
    """Return what an arm trains on, from its file or by `hnmine filter`.

    Args:
        plan: the settings.
        home: of `prepare`.
        name: of the arm.
        arm: that chooses the negatives.
        seed: of the choice, where it is by chance.
    """
    if arm.triples:  # Its file may change: nothing is kept.
        file = Path(arm.triples, f"{home.name}.parquet")
        theirs = held_out(home).without_queries(Rows.of_table(pq.read_table(file), file))
        return Chosen([theirs], {"rows": len(theirs)})
    folder = _folder(home, name)
    drawn = seed if "--sampling" in arm.flags else 0  # Without a draw: the same choice.
    setting = {
        **{"arm": asdict(arm), "negatives": plan.negatives, "mine": plan.mine, "seed": drawn},
        **{"encoder": plan.encoder, "cross_encoder": plan.cross_encoder},
    }

    def make() -> Chosen:
        mined = folder / f"mined-{drawn}"
        _filter(plan, home, mined, arm, drawn)
        sets = _sets(home, mined, arm)
        return Chosen(sets, {**_about(mined), "rows": len(sets[0])})

    return chosen_rows.once(folder / f"rows-{drawn}.parquet", setting, make)


def run(plan: Plan, home: Path, name: str, arm: Arm | None, seed: int) -> Run:
    """Return what one student reached, from its file or by training it.

    Args:
        plan: the settings.
        home: of `prepare`.
        name: of the arm.
        arm: that chooses the negatives; None leaves the student as it was.
        seed: of the choice, where it is by chance, and of training.
    """
    recipe, chosen = plan.recipe, Chosen([], {})
    if arm is not None:
        more = {"hardness": arm.hardness, "pinned": arm.pinned, "contrast": arm.contrast}
        back = recipe.toward_base or arm.toward_base
        recipe = replace(recipe, **more, toward_base=back)
        chosen = choose(plan, home, name, arm, seed)

    def make() -> Run:
        start = time.monotonic()
        model = student(plan, home)
        if arm is not None:
            keep_threads()
            train(model, chosen.sets, recipe, seed)
        measures = held_out(home).measure(model)
        return Run(measures, {**chosen.about, "seconds": round(time.monotonic() - start, 1)})

    setting: Json = {
        **{"arm": arm and asdict(arm), "negatives": plan.negatives, "adapter": plan.adapter},
        **{"encoder": plan.encoder, "rows": [rows.fingerprint for rows in chosen.sets]},
        **asdict(recipe),
    }
    file = _folder(home, name) / f"seed-{seed}-{digest(setting)[:8]}.json"
    return once(file, setting, make)


def _folder(home: Path, name: str) -> Path:
    return home / "arms" / "".join(c if c.isalnum() else "-" for c in name)


def _filter(plan: Plan, home: Path, mined: Path, arm: Arm, seed: int) -> None:
    candidates = home / ("oracle/candidates" if arm.oracle else "candidates")
    if not candidates.exists():
        _mine(plan, home, home / "oracle", candidates)
    judge = ("--cross-encoder", plan.cross_encoder) if arm.judged else ()
    asked = ("--format", "n-tuple", "--num-negatives", plan.negatives, "--seed", seed)
    flags = (*asked, *judge, *shlex.split(arm.flags), "--overwrite")
    hnmine("filter", "--candidates", candidates, "--output", mined, *flags)


def _sets(home: Path, mined: Path, arm: Arm) -> list[Rows]:
    """Return the rows to train on, in as many sets as the arm cycles through."""
    rows = Rows.read(mined)
    if arm.oracle == "excluded":
        rows = rows.only(_known(home, rows))
    if arm.in_batch:
        rows = rows.in_batch()
    return rows.parts(arm.draws)


def _known(home: Path, rows: Rows) -> list[int]:
    """Return the rows of the pairs that are known without the oracle."""
    tables = {
        name: pq.read_table(home / f"{name}.parquet").to_pydict()
        for name in ("corpus", "queries", "qrels")
    }
    texts, asked = (
        dict(zip(tables[name]["_id"], tables[name]["text"], strict=True))
        for name in ("corpus", "queries")
    )
    qrels = tables["qrels"]
    pairs = zip(qrels["query_id"], qrels["corpus_id"], strict=True)
    known = {(asked[query], texts[document]) for query, document in pairs}
    found = zip(rows.queries, rows.documents, strict=True)
    return [n for n, (query, documents) in enumerate(found) if (query, documents[0]) in known]


def _about(mined: Path) -> dict[str, Any]:
    """Return how hard the negatives are."""
    table = pq.read_table(mined / "scored", columns=["selected", "dense_rank", "dense_score"])
    table = table.filter(table["selected"])
    return {
        "similarity": pc.mean(table["dense_score"]).as_py(),
        "rank": pc.mean(table["dense_rank"]).as_py(),
    }
