"""`--dry-run` says the tasks that a run then does, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import CROSS_ENCODER, ENCODER, hnmine, write
from hypothesis import given
from hypothesis import strategies as st

from hnmine.schema import STATE
from hnmine.validate.forecast import Costs, Load, Step, steps

DIRECTORIES = {"build-index": "index", "mine": "candidates", "filter": "mined"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> list[object]:
    """The flags of a small run that is cut into several tasks."""
    root = tmp_path_factory.mktemp("inputs")
    texts = [f"Document {n} tells of the number {n} and of {n % 7}." for n in range(150)]
    corpus = write(root / "c.parquet", id=[f"d{n}" for n in range(150)], text=texts)
    queries = [f"What tells of {n}?" for n in range(70)]
    pairs = write(root / "p.parquet", query=queries, positive=texts[:70])
    return [
        *("--corpus", corpus, "--pairs", pairs, "--encoder", ENCODER, "--device", "cpu"),
        *("--max-length", 16, "--shard-size", 40, "--block-size", 30, "--top-k", 9),
        *("--cross-encoder", CROSS_ENCODER, "--threads", 1, "--no-default-rule"),
    ]


@pytest.fixture(scope="module")
def foretold(inputs, tmp_path_factory) -> tuple[dict[str, dict[str, object]], Path]:
    root = tmp_path_factory.mktemp("dry") / "run"
    done = hnmine("run", *inputs, "--output", root, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), root


def tasks(found: dict[str, object]) -> int:
    return sum(step["tasks"] for step in found.values() if isinstance(step, dict))


def test_nothing_is_written_and_what_is_done_then_are_the_tasks_that_were_said(inputs, foretold):
    found, root = foretold
    assert found.keys() == DIRECTORIES.keys()
    assert not root.exists()
    done = hnmine("run", *inputs, "--output", root)
    assert done.returncode == 0, done.stderr
    for stage in ("build-index", "mine"):
        markers = [*(root / DIRECTORIES[stage] / STATE / "done").iterdir()]
        assert tasks(found[stage]) == len(markers), stage
    judged = [*(root / "candidates" / "scores").rglob(f"{STATE}/done/*.json")]
    assert found["filter"]["cross-encoder"]["tasks"] == len(judged)
    assert found["filter"]["filter"]["tasks"] == len([*(root / "mined/scored").iterdir()])
    written = sum(file.stat().st_size for file in (root / "index").rglob("*") if file.is_file())
    assert written / 4 < found["build-index"]["disk_bytes"] < 4 * written

    # What is there already is not estimated but counted.
    for stage, flags in (
        ("mine", ["--index", root / "index", "--pairs", inputs[3], "--block-size", 30]),
        ("filter", ["--candidates", root / "candidates", "--cross-encoder", CROSS_ENCODER]),
    ):
        before = sorted(root.rglob("*"))
        alone = hnmine(stage, *flags, "--output", root / "new", "--dry-run", "--json")
        assert alone.returncode == 0, alone.stderr
        assert tasks(json.loads(alone.stdout)[stage]) == tasks(found[stage])
        assert sorted(root.rglob("*")) == before


def test_time_is_estimated_by_a_trial(foretold):
    found, _ = foretold
    assert found["build-index"]["dense: encode"]["cpu_seconds"] > 0
    assert found["filter"]["cross-encoder"]["cpu_seconds"] > 0
    assert all(found[stage]["time_seconds"] > 0 for stage in ("build-index", "mine", "filter"))


def test_it_says_how_many_workers_would_start(inputs, tmp_path):
    build = [*inputs[:4], "--no-dense", "--index", tmp_path / "i", "--dry-run", "--threads", 4]
    few = hnmine("build-index", *build, "--workers", 4, "--max-memory", "700MB")
    assert few.returncode == 0, few.stderr
    lines = [line.split() for line in few.stdout.splitlines()]
    assert ["workers", "2"] in lines
    assert ["threads", "of", "each", "2"] in lines
    assert lines[-1] == ["Nothing", "was", "written."]
    none = hnmine("build-index", *build, "--max-memory", "20MB")
    assert none.returncode == 2
    assert "one worker needs about" in none.stderr


def test_what_is_wrong_is_said_before_anything_is_tried(inputs, tmp_path):
    gone = hnmine("build-index", "--no-dense", "--corpus", "gone", "--index", tmp_path, "--dry-run")
    assert gone.returncode == 3
    assert "gone" in gone.stderr


@given(
    st.integers(1, 10**8), st.integers(1, 10**7), st.integers(1, 10**5), st.integers(1, 10**4),
    st.integers(1, 99), st.integers(1, 99),
)  # fmt: skip
def test_more_hands_take_no_longer_and_every_item_is_in_a_task(
    documents, queries, shard, block, workers, threads
):
    load = Load(
        documents, documents, queries, 200 * queries, dense=True, judged=True,
        shard_size=shard, block_size=block,
    )  # fmt: skip
    unit = Costs(**dict.fromkeys(Costs.__dataclass_fields__, 1e-6))
    for step in steps(load, unit):
        assert step.cpu_seconds >= step.seconds(workers, threads)
        assert step.seconds(workers, threads) >= step.seconds(workers + 1, threads)
        if step.name == "dense: encode":
            assert (step.tasks - 1) * shard < documents <= step.tasks * shard
        if step.name == "mine":
            assert (step.tasks - 1) * block < queries <= step.tasks * block


def test_a_step_of_one_task_gains_nothing_from_more_processes():
    assert Step("s", "merge", 1, 8.0).seconds(workers=4, threads=2) == 8.0
    assert Step("s", "encode", 8, 8.0, threaded=True).seconds(workers=4, threads=2) == 1.0
