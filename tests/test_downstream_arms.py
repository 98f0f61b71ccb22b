"""The arms of the downstream benchmark: what they choose, and how they are compared."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from benchmarks.downstream.__main__ import parse
from benchmarks.downstream.arms import ARMS, IN_BATCH, PEER, QUICK, RANDOM_ARM
from benchmarks.downstream.report import MEASURE, markdown, over_the_best
from benchmarks.downstream.rounds import GAP, NEGATIVES, nearest
from hnmine.cli import app


@pytest.mark.parametrize("name", ARMS)
def test_filter_takes_the_flags_of_every_arm(name, tmp_path, capsys):
    arm = ARMS[name]
    judge = ("--cross-encoder", "no-model") if arm.judged else ()
    given = ("filter", "--candidates", str(tmp_path / "none"), "--output", str(tmp_path / "mined"))
    with pytest.raises(SystemExit) as stopped:
        app([*given, *judge, *shlex.split(arm.flags)], standalone_mode=True)
    assert stopped.value.code != 0
    assert "not a directory" in (said := capsys.readouterr().err) or "manifest" in said, said


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
