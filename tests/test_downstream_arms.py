"""The arms of the downstream benchmark: what they choose, and how they are compared."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from conftest import ENCODER, write

from benchmarks import leaderboard
from benchmarks.downstream.__main__ import parse
from benchmarks.downstream.arms import ARMS, BI_ENCODER, IN_BATCH, PEER, QUICK, RANDOM_ARM, Arm
from benchmarks.downstream.report import MEASURE, markdown, over_the_best, summary
from benchmarks.downstream.rounds import GAP, NEGATIVES, nearest
from benchmarks.downstream.runs import Plan
from benchmarks.downstream.runs import run as run_of
from hnmine.cli import app
from hnmine.training.retrieval_measures import MEASURES
from hnmine.training.runs import Run
from hnmine.training.students import Recipe


@pytest.mark.parametrize("name", ARMS)
def test_filter_takes_the_flags_of_every_arm(name, tmp_path, capsys):
    arm = ARMS[name]
    judge = ("--cross-encoder", "no-model") if arm.judged else ()
    given = ("filter", "--candidates", str(tmp_path / "none"), "--output", str(tmp_path / "mined"))
    with pytest.raises(SystemExit) as stopped:
        app([*given, *judge, *shlex.split(arm.flags)], standalone_mode=True)
    assert stopped.value.code != 0
    assert "There is no directory" in capsys.readouterr().err


def test_the_quick_form_and_the_one_without_a_cross_encoder_have_fewer_arms(tmp_path):
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "qrels.parquet").touch()
    data = ["--data", str(tmp_path)]
    every, quick = parse(data), parse([*data, "--quick"])
    assert every.arms == list(ARMS)
    assert (every.seeds, every.adapter) == (3, False)
    assert tuple(quick.arms) == QUICK
    assert (quick.seeds, quick.adapter) == (1, True)
    assert not any(ARMS[name].judged for name in quick.arms)
    without = parse([*data, "--no-cross-encoder"]).arms
    assert set(without) == {name for name, arm in ARMS.items() if not arm.judged}
    assert parse([*data, "--quick", "--seeds", "2", "--arms", "dense top"]).seeds == 2


def table(**values):
    return {name: {MEASURE: value, "over": {}, "chosen": {}} for name, value in values.items()}


def test_the_margin_is_over_the_best_of_each_collection():
    total = {
        "a": table(**{IN_BATCH: 0.5, RANDOM_ARM: 0.4, PEER: 0.3, "ours": 0.6}),
        "b": table(**{IN_BATCH: 0.1, RANDOM_ARM: 0.2, PEER: 0.4, "ours": 0.4, "other": 0.5}),
    }
    assert over_the_best(total, "ours") == pytest.approx(np.sqrt(1.2 * 1.0) - 1)
    assert over_the_best(total, PEER) == pytest.approx(np.sqrt(0.6 * 1.0) - 1)
    assert over_the_best(total, "other") is None
    assert "| ours | **0.6000** | **0.4000** | +9.54% |" in markdown(total)
    assert "| other | - | **0.5000** | - |" in markdown(total)


def test_a_round_takes_the_nearest_that_are_far_enough_below_the_positive():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=(20, 50)).astype(np.float32)
    own = np.argmax(scores, axis=1)
    chosen = nearest(scores, own)
    assert chosen.shape == (20, NEGATIVES)
    for row, documents in enumerate(chosen):
        below = [d for d in range(50) if scores[row, d] <= scores[row, own[row]] - GAP]
        below.sort(key=lambda d: -scores[row, d])
        assert documents.tolist() == below[:NEGATIVES]


def test_the_leaderboard_has_the_best_miner_first_and_marks_what_is_no_chance(tmp_path):
    random, ours = leaderboard.ROWS[RANDOM_ARM], leaderboard.ROWS[BI_ENCODER]
    queries = np.linspace(0.1, 0.8, 40)
    reached = {"(untrained)": queries, random: queries + 0.01, ours: queries + 0.1}
    reached[ours][::2] += 0.01
    runs = {
        name: [Run(dict.fromkeys(MEASURES, values), {"rows": 9})] * 2
        for name, values in reached.items()
    }
    plan = Plan(tmp_path, "m", "ce", "", leaderboard.WHOLE, False, 3, 10, 40, 50, 48)
    text = leaderboard.page(plan, summary({"one": runs, "two": runs}, [random]), 2)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == "| miner | one | two | over random |"
    assert [row.split(" | ")[0][2:] for row in rows[2:]] == [ours, random, "(untrained)"]
    assert rows[2].count("*") == 2 and rows[2].endswith("| +20.7% |")
    assert "--row" in text and "--triples" in text


def test_a_row_of_the_leaderboard_is_flags_or_the_triples_of_another_miner(tmp_path):
    home, folder = tmp_path / "some", tmp_path / "rows"
    for place in (home / "held-out", folder):
        place.mkdir(parents=True)
    names = [f"text {n}" for n in range(12)]
    write(home / "held-out" / "corpus.parquet", _id=names, text=names)
    write(home / "held-out" / "queries.parquet", _id=["q"], text=["find text 3"])
    write(home / "held-out" / "qrels.parquet", query_id=["q"], corpus_id=["text 3"])
    write(folder / "some.parquet", query=names[:4], positive=names[4:8], negative_1=names[8:])
    recipe = Recipe(ENCODER, steps=1, max_length=8)
    plan = Plan(tmp_path, ENCODER, "", "", recipe, False, 1, 10, 40, 50, 48)
    run = run_of(plan, home, "theirs", Arm("", triples=str(folder)), 0)
    assert run.about["rows"] == 4
    assert 0 <= run.measures[MEASURE][0] <= 1
    again = run_of(plan, home, "theirs", Arm("", triples=str(folder)), 0)
    assert again.about == run.about  # Its seconds too: it was not trained again.
    queries = [*names[:3], "Find  text 3"]  # Of a held-out query: nobody trains on it.
    write(folder / "some.parquet", query=queries, positive=names[4:8], negative_1=names[8:])
    assert run_of(plan, home, "theirs", Arm("", triples=str(folder)), 0).about["rows"] == 3
