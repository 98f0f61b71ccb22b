"""What a command says at its end, and that nothing is never a success."""

from __future__ import annotations

import json
import random
import shlex
import shutil

import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, hnmine, write
from datasets import load_dataset

from hnmine import build_index, filter_negatives, mine
from hnmine.errors import InputError
from hnmine.outcome import MADE, check_not_empty, next_step, summary


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    root = tmp_path_factory.mktemp("outcome")
    draw = random.Random(0)
    words = [a + b + c for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
    texts = [" ".join(draw.choices(words, k=20)) for _ in range(60)]
    write(root / "c.parquet", _id=[str(n) for n in range(len(texts))], text=texts)
    asked = [" ".join(text.split()[:4]) for text in texts[:6]]
    write(root / "p.parquet", query=asked, positive=texts[:6])
    given = {"progress": False, "pairs": str(root / "p.parquet")}
    build_index(corpus=str(root / "c.parquet"), index=root / "index", dense=False, progress=False)
    mine(index=root / "index", output=root / "candidates", source=["bm25:10"], **given)
    return root / "candidates"


def test_no_negatives_is_an_error_that_names_the_rule_and_the_empty_table_loads(
    candidates, tmp_path
):
    rule = ("--score", "bm25", "--margin", 1e6, "--no-progress")
    done = hnmine("filter", candidates, "--output", tmp_path / "m", *rule)
    assert done.returncode == 3
    assert "holds no negatives" in done.stderr
    assert "Dropped: margin " in done.stderr
    assert "hnmine report" in done.stderr
    # Without streaming, `datasets` refuses every split without rows.
    train = load_dataset(str(tmp_path / "m"), split="train", streaming=True)
    assert list(train) == []
    table = pq.read_table(tmp_path / "m" / "train")
    assert table.column_names == ["query", "positive", "negative"]


def test_python_returns_what_is_empty_and_can_be_asked(candidates, tmp_path):
    result = filter_negatives(
        candidates=candidates, output=tmp_path / "m", score="bm25", margin=1e6, progress=False
    )
    assert result.counts["negatives"] == 0
    with pytest.raises(InputError, match="holds no negatives"):
        result.check()


def test_the_terminal_shows_what_matters_and_json_all(candidates, tmp_path):
    line = ("filter", candidates, "--output", tmp_path / "m", "--no-progress")
    said = hnmine(*line).stdout.splitlines()
    assert said[0] == str(tmp_path / "m")
    assert said[-1].startswith("Next: `hnmine report ")
    assert len(said) <= 8
    counts = json.loads(hnmine(*line, "--json").stdout)["counts"]
    assert {"candidates", "kept", "negatives", "train_rows"} <= counts.keys()


@pytest.mark.parametrize("stage", MADE)
def test_every_stage_that_makes_nothing_fails(stage):
    check_not_empty(stage, "runs/x", {MADE[stage]: 1})
    with pytest.raises(InputError, match=r"runs/x holds no "):
        check_not_empty(stage, "runs/x", {MADE[stage]: 0, "dropped_margin": 4})


def test_a_summary_lists_what_was_dropped_most_first():
    counts = {"candidates": 9, "queries": 2, "candidates_from_bm25": 3, "candidates_from_dense": 8}
    dropped = {"dropped_a": 1, "dropped_b": 3, "dropped_c": 0}
    assert list(summary("candidates", counts | dropped)) == [
        "  9 candidates for 2 queries (dense 8, bm25 3)",
        "  dropped: b 3, a 1",
    ]


def test_the_next_command_can_be_pasted():
    assert next_step("index", "runs/a b/index") == (
        "Next: `hnmine mine 'runs/a b/index' --pairs pairs.parquet --output 'runs/a b/candidates'`"
    )
    assert "./-x" in next_step("candidates", "-x")
    assert not next_step("mined", "runs/mined")
    assert not next_step("index", "s3://bucket/index")


@pytest.mark.parametrize(
    "rule, words",
    [
        (("--margin", 1e6), "--margin 1e+06 is out of reach: the largest distance"),
        (("--relative-margin", 50), "--relative-margin 50 is out of reach"),
        (("--max-score", -1), "--max-score -1 is out of reach: the lowest score of a candidate"),
        (("--min-score", 1e6), "--min-score 1e+06 is out of reach: the highest score"),
    ],
)
def test_a_limit_that_no_score_reaches_is_named_with_the_nearest_value(
    candidates, tmp_path, rule, words
):
    line = ("filter", candidates, "--output", tmp_path / "m", "--score", "bm25", "--no-progress")
    done = hnmine(*line, *rule)
    assert done.returncode == 3
    assert words in done.stdout
    assert "Scores are bm25, from " in done.stdout


def written(folder):
    """Return when each file of scores was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}


def test_kept_scores_of_a_cross_encoder_that_is_not_asked_for_are_named(candidates, tmp_path):
    shutil.copytree(candidates, tmp_path / "candidates")
    line = ("filter", tmp_path / "candidates", "--output", tmp_path / "m", "--no-progress")
    asked = ("--cross-encoder", CROSS_ENCODER, "--max-length", 32, "--threads", 1)
    plain = hnmine(*line)
    assert (plain.returncode, "warning" in plain.stdout) == (0, False)
    judged = hnmine(*line, *asked, "--overwrite")
    assert judged.returncode == 0, judged.stderr
    assert "warning" not in judged.stdout
    rules = ("--where", "bm25_rank > 1", "--where", "rrf_score > 0", "--quota", "rank > 0=2")
    rules += ("--train-column", "spot=bm25_rank", "--seed", 3, "--dtype", "fp32")
    forgotten = hnmine(*line, *rules, "--overwrite")
    assert forgotten.returncode == 0, forgotten.stderr
    [warning] = [row for row in forgotten.stdout.splitlines() if row.startswith("warning")]
    command = warning.rpartition("`hnmine ")[2].removesuffix("`")
    assert CROSS_ENCODER in command
    before = written(tmp_path / "candidates" / "scores")
    plan = json.loads((tmp_path / "m" / "manifest.json").read_text())["settings"]
    used = hnmine(*shlex.split(command))
    assert written(tmp_path / "candidates" / "scores") == before
    chosen = json.loads((tmp_path / "m" / "manifest.json").read_text())["settings"]
    changed = {"cross_encoder": CROSS_ENCODER, "max_length": 32, "dtype": None}
    assert chosen == {**plan, **changed}
    assert used.returncode == 0, used.stderr
    assert "warning" not in used.stdout


def test_scores_of_some_candidates_promise_no_command(candidates, tmp_path):
    shutil.copytree(candidates, tmp_path / "candidates")
    line = ("filter", tmp_path / "candidates", "--output", tmp_path / "m", "--no-progress")
    lazy = ("--lazy", "--cross-encoder", CROSS_ENCODER, "--max-length", 32, "--num-negatives", 1)
    judged = hnmine(*line, *lazy, "--threads", 1)
    assert judged.returncode == 0, judged.stderr
    forgotten = hnmine(*line, "--overwrite")
    [warning] = [row for row in forgotten.stdout.splitlines() if row.startswith("warning")]
    assert "reranker_en" in warning
    assert "hnmine filter" not in warning


@pytest.mark.parametrize(
    "text", ["interval 1 day", "map([1], [2])", "union_value(a := 1)", "[map([1], [2])]"]
)
@pytest.mark.parametrize("flag", ["--train-column", "--derive"])
def test_columns_that_a_training_table_cannot_hold_are_refused(candidates, tmp_path, flag, text):
    line = ("filter", candidates, "--output", tmp_path / "m", "--no-progress")
    done = hnmine(*line, flag, f"x={text}")
    assert done.returncode == 2
    assert "which training tables cannot hold" in done.stderr
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("text", ["null", "[1, 2]", "{'a': 1}", "date '2020-01-01'", "1::ubigint"])
def test_other_columns_load(candidates, tmp_path, text):
    out = {"output": tmp_path / "m", "progress": False}
    filter_negatives(candidates=candidates, train_column={"x": text}, **out)
    train = load_dataset(str(tmp_path / "m"), split="train", cache_dir=str(tmp_path / "cache"))
    assert "x" in train.column_names
    assert len(train) > 0
