"""Cheap rules come before the cross-encoder, and the choice is that of scoring everything."""

from __future__ import annotations

import shutil

import forked
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, content, hnmine, mined_by_words
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import hnmine as api
from hnmine import schema
from hnmine.config import FilterSettings
from hnmine.errors import InputError
from hnmine.selection.cascade import Cascade
from hnmine.selection.criteria import criteria
from hnmine.selection.verdicts import Verdicts
from hnmine.selection.writing import shortfall_of

CHEAP = (
    "bm25_rank > 1",
    "odd = 0",
    "bm25_score < pos(bm25_score)",
    "bm25_score <= avg(bm25_score)",
    "rank(bm25_score) < 5",
    "derived < 0.7",
)
COSTLY = (
    "ce_score < 1",
    "CE_SCORE < pos(ce_score)",
    "ce_score <= avg(ce_score)",
    "rank(ce_score) < 5",
    "row_number() over (partition by query_row order by ce_score) < 5",
    "of_ce < 2",
    "zscore(score) < 0.5",
    "positive_score - score > 0.1",
)
RULES = {
    "margin": st.sampled_from([None, None, 0.5, -1.0]),
    "max_score": st.sampled_from([None, 1.0]),
    "range_min": st.sampled_from([0, 0, 2]),
    "range_max": st.sampled_from([None, 5]),
    "score": st.sampled_from(["ce", "ce", "bm25", "ce_score + bm25_score"]),
    "positive_score": st.sampled_from(["min", "max", "mean"]),
    "where": st.lists(st.sampled_from(3 * CHEAP + COSTLY), min_size=1, max_size=2, unique=True),
    "relabel": st.sampled_from([*[None] * 8, "odd = 1 and bm25_rank < 2", "ce_score > 1"]),
    "order": st.sampled_from(
        [
            *("rank", "-score", "-ce_score", "abs(score - avg(score))", "-of_ce", "bm25_rank"),
            "avg(ce_score) over (partition by query_row) - ce_score",
            "abs(ce_score - (avg(ce_score) filter (where odd = 0)))",
        ]
    ),
    "sampling": st.sampled_from(["top", "top", "random", "exp(score)", "softmax(score)"]),
    "within": st.sampled_from([None, None, "rank(score) < 3", "score < quantile_cont(score, 0.8)"]),
    "strata": st.sampled_from([None, None, "bins(positive_score - score, 3)", "odd"]),
    "weight": st.sampled_from([None, "1 / (1 + exp(score))", "rank(score) + 1.0"]),
    "per_query": st.sampled_from(
        [*[None] * 4, "2 + count(*) % 2", "coalesce(pos(score), 0) + 2", "avg(ce_score)"]
    ),
    "query_where": st.sampled_from(
        [
            *[None] * 4,
            "count(*) filter (where selected) > 1",
            "max(ce_score) > 0",
            "count(*) filter (where reason = 'margin') < 3",
        ]
    ),
    "default_rule": st.just(False),
    "num_negatives": st.integers(1, 3),
}
TRAIN = {"a": "score", "b": "rank(score)", "weight": "weight"}
LOGITS = st.floats(-3, 3, width=32) | st.sampled_from([0.0, 1.0, float("nan")])
CANDIDATE = st.tuples(LOGITS, st.integers(0, 1), st.integers(0, 9))
QUERIES = st.lists(
    st.tuples(st.lists(LOGITS, min_size=1, max_size=2), st.lists(CANDIDATE, max_size=8)),
    min_size=1,
    max_size=3,
)


def table_of(queries):
    rows = []
    for number, (positives, others) in enumerate(queries):
        shared = {"query_id": f"q{number}", "query_row": number, "rrf_score": 1.0}
        every = [*others, *((logit, 0, 5) for logit in positives)]
        for rank, (logit, odd, words) in enumerate(every):
            positive = rank >= len(others)
            rows.append(
                shared
                | {"doc_id": f"d{rank}", "doc_row": rank, "rank": None if positive else rank}
                | {"is_positive": positive, "is_query": False, "bm25_score": float(words)}
                | {"bm25_rank": None if positive else rank, "near_copy": None if positive else 0.0}
                | {"ce_score": logit, "odd": odd}
            )
    fields = [*schema.CANDIDATES, schema.ranks("bm25_rank"), schema.judged("ce_score")]
    fields = list({field.name: field for field in fields}.values())
    return pa.Table.from_pylist(rows, schema=pa.schema([*fields, pa.field("odd", pa.int64())]))


def fates(table, rules, choice):
    """All that comes of a table: verdicts, weights, columns of the training data, shortfall."""
    verdicts = Verdicts(table, rules, choice)
    used = verdicts.selected | verdicts.serves_as_positive
    train = {
        name: values.filter(pa.array(used)).to_pylist()
        for name, values in verdicts.for_training.items()
    }
    return (
        verdicts.reason.tolist(),
        verdicts.selected.tolist(),
        verdicts.serves_as_positive.tolist(),
        verdicts.asked.tolist(),
        verdicts._weight[verdicts.selected].tolist(),
        np.array(verdicts.table["score"].filter(pa.array(used)).fill_null(9)).tolist(),
        str(train),
        shortfall_of(verdicts).to_pylist(),
    )


@settings(max_examples=30)
@given(QUERIES, st.fixed_dictionaries(RULES))
def test_a_cascade_changes_nothing_that_is_chosen_or_written(queries, given_):
    given_ = {name: value for name, value in given_.items() if value is not None}
    given_ |= {"candidates": "c", "output": "o", "cross_encoder": "x", "train_column": TRAIN}
    given_ |= {"derive": {"derived": "bm25_score / 10", "of_ce": "ce_score * 2"}}
    asked = FilterSettings.parse(given_)
    rules, choice = criteria(asked)
    cascade = Cascade.of(asked, rules, choice, ["ce_score"])
    assume(cascade is not None)
    rules = cascade.in_order(rules)
    table = table_of(queries)
    needed = cascade.needed(table.drop_columns("ce_score"))
    assume(not needed.all())
    place = table.column_names.index("ce_score")
    scores = pc.if_else(pa.array(needed), table["ce_score"], None)
    partly = table.set_column(place, schema.judged("ce_score"), scores)
    try:
        expected = fates(table, rules, choice)
    except InputError:
        with pytest.raises(InputError):
            fates(partly, rules, choice)
        return
    assert fates(partly, rules, choice) == expected


@pytest.mark.parametrize(
    ("settings", "spares"),
    [
        ({"margin": 1.0, "where": ["bm25_rank > 3"]}, True),
        ({"margin": 1.0, "where": ["bm25_rank > 3"], "sampling": "exp(score)"}, True),
        ({"margin": 1.0, "where": ["bm25_rank > 3"], "order": "-ce_score"}, True),
        ({"margin": 1.0, "range_min": 3, "quota": {"ce_score < 0": 2}}, True),
        ({"margin": 1.0, "range_min": 3, "deepen": 4, "max_uses": 3}, True),
        ({"margin": 1.0}, False),
        ({"where": ["bm25_rank > 3"]}, False),  # The default choice learns from all scores.
        ({"margin": 1.0, "where": ["bm25_rank > 3"], "max_false": 0.1}, False),
        ({"margin": 1.0, "where": ["bm25_rank > 3"], "lazy": True}, False),
        ({"margin": 1.0, "where": ["bm25_rank > 3", "relevance < 0"]}, False),
        ({"margin": 1.0, "where": ["bm25_rank > 3", "ce_score < avg(ce_score)"]}, False),
        ({"margin": 1.0, "where": ["bm25_rank > 3"], "relabel": "ce_score > 9"}, False),
        ({"margin": 1.0, "where": ["bm25_rank > 3"], "query_where": "max(score) > 0"}, False),
        ({"where": ["a > 3"], "derive": {"a": "rank(score)"}, "order": "bm25_rank"}, False),
    ],
)
def test_a_cascade_is_only_where_it_is_exact(settings, spares):
    given_ = {"candidates": "c", "output": "o", "cross_encoder": "x", "score": "ce"}
    asked = FilterSettings.parse(given_ | settings)
    assert (Cascade.of(asked, *criteria(asked), ["ce_score"]) is not None) == spares


JUDGE = {"cross_encoder": CROSS_ENCODER, "max_length": 48, "progress": False}
ASKED = {
    "margin": 1.0,
    "where": ["bm25_rank % 2 = 1"],
    "sampling": "exp(score)",
    "output_scores": True,
}


@pytest.fixture(scope="module")
def candidates(stdlib, tmp_path_factory):
    return mined_by_words(stdlib, tmp_path_factory.mktemp("cascade"), top_k=8, block_size=16)


def test_half_the_pairs_are_scored_whatever_is_cached(candidates, tmp_path):
    """The same files from a new cache, from one with other pairs, and from one with all."""
    found = {}
    for name, before in (
        ("new", None),
        ("other", {"margin": 1.0, "where": ["bm25_rank % 2 = 0"]}),
        ("all", {"margin": 1.0}),
    ):
        (place := tmp_path / name).mkdir()
        shutil.copytree(candidates, place / "c")
        if before:
            api.filter(candidates=place / "c", output=place / "before", **JUDGE, **before)
        result = api.filter(candidates=place / "c", output=place / "m", **JUDGE, **ASKED)
        found[name] = (result.counts, pq.read_table(place / "m" / "scored"))
        train = pq.read_table(place / "m" / "train")
        found[name] += (train.drop_columns("scores"), np.array(train["scores"].to_pylist()))
    for name in ("other", "all"):
        assert found[name][0] == found["new"][0]
        assert found[name][1]["reason"].equals(found["new"][1]["reason"])
        nulls = [one["ce_score"].is_null() for one in (found[name][1], found["new"][1])]
        assert nulls[0].equals(nulls[1])
        assert found[name][2].equals(found["new"][2])
        np.testing.assert_allclose(found[name][3], found["new"][3], atol=1e-4)
    counts, scored = found["new"][:2]
    assert 0 < counts["pairs_not_scored"] == scored["ce_score"].null_count
    spared = scored.filter(scored["ce_score"].is_null())
    assert set(spared["reason"].to_pylist()) <= {"bm25_rank % 2 = 1", "near-copy", "query"}
    assert not scored.filter(scored["is_positive"])["ce_score"].null_count


KILL = """
import os, signal
from hnmine.judges import cross_encoder
from hnmine.cli import main
def dies(self, rows, tick):
    os.kill(os.getpid(), signal.SIGKILL)
cross_encoder.CrossEncoderJudge._logits = dies
main()
"""


def test_killed_while_it_scores_it_ends_with_the_same_files(candidates, tmp_path):
    flags = ["--cross-encoder", CROSS_ENCODER, "--max-length", "48", "--margin", "1"]
    flags += ["--where", "bm25_rank % 2 = 1"]
    outputs = []
    for name in ("undisturbed", "killed"):
        shutil.copytree(candidates, tmp_path / name / "c")
        asked = ["filter", "--candidates", tmp_path / name / "c", "--output", tmp_path / name / "m"]
        if name == "killed":
            assert forked.run(KILL, *asked, *flags).returncode == -9
        done = hnmine(*asked, *flags)
        assert done.returncode == 0, done.stderr
        outputs.append(content(tmp_path / name / "m"))
    assert outputs[0] == outputs[1]
