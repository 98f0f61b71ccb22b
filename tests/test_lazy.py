"""With --lazy the same negatives, for a fraction of the cross-encoder's work."""

from __future__ import annotations

import json
import shutil

import forked
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, content, hnmine, mined_by_words
from hypothesis import given
from hypothesis import strategies as st

import hnmine as api
from hnmine import schema
from hnmine.config import FilterSettings
from hnmine.errors import UsageError
from hnmine.selection.criteria import criteria
from hnmine.selection.verdicts import NOT_SCORED, Verdicts

JUDGE = {"cross_encoder": CROSS_ENCODER, "max_length": 48, "progress": False}
RULES = {"margin": 2.0, "num_negatives": 3}


@pytest.fixture(scope="module")
def candidates(stdlib, tmp_path_factory):
    return mined_by_words(stdlib, tmp_path_factory.mktemp("lazy"), top_k=12, block_size=16)


@pytest.fixture(scope="module")
def eager(candidates, tmp_path_factory):
    """A copy of the candidates with all scores, and what two rules choose by them."""
    copy = tmp_path_factory.mktemp("eager") / "candidates"
    shutil.copytree(candidates, copy)
    for name, rules in (("first", RULES), ("second", RULES | {"margin": 6.0})):
        api.filter(candidates=copy, output=copy.parent / name, **JUDGE, **rules)
    return copy


def train(mined):
    return pq.read_table(mined / "train").to_pylist()


def reasons(mined):
    return pq.read_table(mined / "scored")["reason"].to_pylist()


def test_the_negatives_are_those_of_scoring_everything(candidates, eager, tmp_path):
    (fresh := tmp_path / "candidates").mkdir()
    shutil.copytree(candidates, fresh, dirs_exist_ok=True)
    result = api.filter(candidates=fresh, output=tmp_path / "first", lazy=True, **JUDGE, **RULES)
    assert train(tmp_path / "first") == train(eager.parent / "first")
    assert result.counts["pairs_scored"] < 0.7 * sum(
        result.counts[name] for name in ("pairs_scored", "pairs_not_scored")
    )
    for mined in (tmp_path / "first", eager.parent / "first"):
        took = json.loads((mined / "run.json").read_text())
        assert took["seconds"] > took["seconds_of_steps"]["ce_score"] > 0
    unscored = [reason == NOT_SCORED for reason in reasons(tmp_path / "first")]
    assert sum(unscored) > 100
    # A stricter rule later needs more, and only that is scored.
    settings = RULES | {"margin": 6.0}
    again = api.filter(candidates=fresh, output=tmp_path / "second", lazy=True, **JUDGE, **settings)
    assert train(tmp_path / "second") == train(eager.parent / "second")
    assert again.counts["pairs_scored"] > result.counts["pairs_scored"]
    lazy, all_scored = (
        pq.read_table(folder / "second" / "shortfall.parquet").to_pylist()
        for folder in (tmp_path, eager.parent)
    )
    assert lazy == all_scored != []


SCORES = st.floats(-5, 5) | st.sampled_from([0.0, 1.0, float("nan")])
QUERY = st.tuples(
    st.lists(SCORES, min_size=1, max_size=3), st.lists(st.tuples(SCORES, st.booleans()), max_size=9)
)


@given(
    st.lists(QUERY, min_size=1, max_size=4),
    st.integers(1, 4),
    st.floats(0, 3),
    st.integers(0, 3),
    st.data(),
)
def test_waves_end_with_what_all_scores_would_choose(queries, n, margin, range_min, data):
    rows = []
    for number, (positives, others) in enumerate(queries):
        shared = {"query_id": f"q{number}", "query_row": number, "rrf_score": 1.0}
        for rank, (logit, odd) in enumerate([*others, *((logit, False) for logit in positives)]):
            positive = rank >= len(others)
            place = {"doc_id": f"d{rank}", "doc_row": rank, "rank": None if positive else rank}
            place |= {"is_positive": positive, "is_query": False, "bm25_score": float(odd)}
            rows.append(shared | place | {"ce_score": logit})
    table = pa.Table.from_pylist(
        rows, schema=pa.schema([*schema.CANDIDATES, schema.judged("ce_score")])
    )
    flags = {"candidates": "c", "output": "o", "cross_encoder": "x", "num_negatives": n}
    flags |= {"margin": margin, "range_min": range_min, "where": "bm25_score < 1", "lazy": True}
    settings = FilterSettings.parse(flags).model_copy(update={"score": "ce"})
    asked = criteria(settings)
    logits = table["ce_score"].to_numpy()
    # What another choice has scored before must not matter.
    known = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    while True:
        scored = table.drop_columns("ce_score").append_column(
            schema.judged("ce_score"), pa.array(logits, mask=~known)
        )
        wave = Verdicts(scored, *asked).to_score
        if not len(wave):
            break
        assert not known[wave].any()
        known[wave] = True
    assert np.array_equal(Verdicts(scored, *asked).selected, Verdicts(table, *asked).selected)


def test_scores_that_are_all_there_are_used(eager, tmp_path):
    result = api.filter(candidates=eager, output=tmp_path / "m", lazy=True, **JUDGE, **RULES)
    assert train(tmp_path / "m") == train(eager.parent / "first")
    assert NOT_SCORED not in reasons(tmp_path / "m")
    assert not list(eager.glob("scores/*-waves"))
    assert result.counts["pairs_scored"] == len(reasons(tmp_path / "m"))


def test_a_rule_of_the_candidate_itself_spares_its_score(candidates, tmp_path):
    copy = tmp_path / "candidates"
    shutil.copytree(candidates, copy)
    rules = RULES | {"where": ["bm25_rank % 2 = 1"]}
    api.filter(candidates=copy, output=tmp_path / "m", lazy=True, **JUDGE, **rules)
    table = pq.read_table(tmp_path / "m" / "scored")
    even = [
        logit
        for logit, rank, positive in zip(
            *(table[name].to_pylist() for name in ("ce_score", "bm25_rank", "is_positive")),
            strict=True,
        )
        if rank is not None and rank % 2 == 0 and not positive
    ]
    assert even and set(even) == {None}
    assert "bm25_rank % 2 = 1" in reasons(tmp_path / "m")


KILL = """
import os, signal, sys
from hnmine.judges import cross_encoder
from hnmine.cli import main
score, left = cross_encoder.CrossEncoderJudge._logits, [{waves}]
def dies(self, rows, tick):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(self, rows, tick)
cross_encoder.CrossEncoderJudge._logits = dies
main()
"""


@pytest.mark.parametrize("waves", [0, 1])
def test_killed_in_a_wave_it_goes_on_to_the_same_files(candidates, tmp_path, waves):
    flags = ["--cross-encoder", CROSS_ENCODER, "--max-length", "48", "--lazy", "--margin", "2"]
    outputs = []
    for name in ("undisturbed", "killed"):
        copy = tmp_path / name / "candidates"
        shutil.copytree(candidates, copy)
        given = ["filter", "--candidates", copy, "--output", tmp_path / name / "mined", *flags]
        if name == "killed":
            script = KILL.format(waves=waves)
            assert forked.run(script, *given).returncode == -9
        done = hnmine(*given)
        assert done.returncode == 0, done.stderr
        outputs.append(content(tmp_path / name / "mined"))
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cross_encoder": None}, "needs --cross-encoder"),
        ({"score": "dense"}, "needs --cross-encoder, and its logits"),
        ({"sampling": "random"}, "cannot be combined with --sampling"),
        ({"order": "ce_score"}, "cannot be combined with --order"),
        ({"quota": ["rank < 3=1"]}, "cannot be combined with --quota"),
        ({"deepen": 4}, "cannot be combined with --deepen"),
    ],
)
def test_what_needs_all_scores_is_refused(settings, message, tmp_path):
    given = {"candidates": tmp_path, "output": tmp_path, "cross_encoder": CROSS_ENCODER}
    with pytest.raises(UsageError, match=message):
        FilterSettings.parse(given | {"lazy": True} | settings)


def test_an_expression_that_compares_candidates_is_refused(candidates, tmp_path):
    with pytest.raises(UsageError, match=r"lazy=True cannot be combined with rank\(\)"):
        api.filter(
            candidates=candidates, output=tmp_path, lazy=True, where="rank(score) < 9", **JUDGE
        )


def test_without_a_rule_three_logits_apply(tmp_path):
    given = {"candidates": tmp_path, "output": tmp_path, "cross_encoder": CROSS_ENCODER}
    assert FilterSettings.parse(given | {"lazy": True}).margin == 3
    assert FilterSettings.parse(given | {"lazy": True, "max_score": 1.0}).margin is None
    assert FilterSettings.parse(given | {"lazy": True, "default_rule": False}).margin is None
