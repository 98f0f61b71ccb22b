"""Contrast or distil: judges that are planted as stronger, weaker or equal to the bi-encoder."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from conftest import ENCODER, ONNX_ENCODER
from hypothesis import given
from hypothesis import strategies as st

import hnmine as api
from hnmine.relevance.learned import FEWEST_QUERIES, read_learned
from hnmine.relevance.model import Sample
from hnmine.relevance.teacher import log_ranks, try_teachers


def planted(queries=200, noise=(1.0, 1.0), seed=0, judges=("ce_score",), bm25=True):
    """Return queries with 40 dense, 15 BM25 and 5 random candidates and a known positive.

    Args:
        queries: how many.
        noise: of the bi-encoder's scores, then of each judge's.
        seed: of all draws.
        judges: names of the judges' columns.
        bm25: whether BM25 and the random source found candidates.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for query in range(queries):
        n = 400
        truth = np.r_[2.0, rng.normal(size=n)]
        scores = [truth + level * rng.normal(size=n + 1) for level in noise]
        dense = np.isin(np.arange(n + 1), 1 + np.argsort(-scores[0][1:])[:40])
        other = np.isin(np.arange(n + 1), 1 + rng.choice(n, 20, replace=False)) & bm25
        rows = np.flatnonzero(dense | other | (np.arange(n + 1) == 0))
        found = [np.where(one, 1.0, np.nan)[rows] for one in (dense, other)]
        parts.append(
            pa.table(
                {
                    "query_id": [f"q{query}"] * len(rows),
                    "query_row": [query] * len(rows),
                    "doc_row": rows,
                    "is_positive": rows == 0,
                    "rank": pa.array(np.where(rows == 0, np.nan, rows), from_pandas=True),
                    "dense_rank": pa.array(found[0], from_pandas=True),
                    "bm25_rank": pa.array(found[1], from_pandas=True),
                    "dense_score": scores[0][rows],
                    **{name: values[rows] for name, values in zip(judges, scores[1:], strict=True)},
                }
            )
        )
    return Sample(pa.concat_tables(parts), [*judges, "dense_score"])


@pytest.mark.parametrize(
    ("noise", "advice"), [((1.0, 0.2), "distil"), ((0.2, 1.0), "contrast"), ((1.0, 1.0), "unknown")]
)
def test_a_stronger_teacher_is_distilled_and_a_weaker_one_is_not(noise, advice):
    trial = try_teachers(planted(noise=noise, seed=1))
    assert (trial.advice, trial.queries, trial.candidates) == (advice, 200, 20.0)
    gain = trial.over_bi_encoder["ce_score"]
    assert (gain.gain > 0) == (noise[1] < noise[0]) or advice == "unknown"
    said = {
        "distil": "Distil with `hnmine export --to kd --scores ce_score`: ce_score ranks known",
        "contrast": "Train with a contrastive loss rather than distil: ce_score ranks known",
        "unknown": "Contrast or distil is unknown: ce_score ranks known positives",
    }
    assert trial.sentence.startswith(said[advice])
    assert f"standard errors, {trial.queries} queries)" in trial.sentence
    assert len(trial.sentence.split()) <= 25


def test_equal_judges_are_called_different_seldom():
    """The bi-encoder's own candidates are those it scores too high: they are not in the pool."""
    found = [try_teachers(planted(60, (1.0, 1.0), seed)).advice for seed in range(60)]
    assert found.count("unknown") >= 52
    assert {"distil", "contrast", "unknown"} >= set(found)


def test_of_several_judges_one_that_is_better_is_enough_and_luck_is_not():
    names = ("ce_score", "judge_a", "judge_b")
    trial = try_teachers(planted(noise=(1.0, 1.0, 0.2, 2.0), judges=names))
    assert trial.advice == "distil" and "--scores judge_a`" in trial.sentence
    assert trial.needed > try_teachers(planted(noise=(1.0, 1.0))).needed
    worse = try_teachers(planted(noise=(0.2, 1.0, 0.2, 2.0), judges=names))
    assert worse.advice == "unknown"


def test_few_queries_or_no_fair_candidates_leave_it_unknown():
    few = try_teachers(planted(FEWEST_QUERIES - 1, (2.0, 0.0)))
    assert few.advice == "unknown"
    assert f"{FEWEST_QUERIES - 1} queries have a positive" in few.sentence
    enough = try_teachers(planted(FEWEST_QUERIES, (2.0, 0.0)))
    assert enough.advice == "distil"
    none = try_teachers(planted(noise=(2.0, 0.0), bm25=False))
    assert (none.advice, none.queries) == ("unknown", 0)


def test_without_a_judge_nothing_is_said():
    assert try_teachers(planted(noise=(1.0,), judges=())) is None


@given(st.data())
def test_log_ranks_are_those_of_a_slow_count(data):
    n = data.draw(st.integers(1, 30))
    draw = lambda values: np.array(data.draw(st.lists(values, min_size=n, max_size=n)))  # noqa: E731
    query = np.sort(draw(st.integers(0, 4)))
    query = np.unique(query, return_inverse=True)[1]
    scores, pool = draw(st.integers(0, 3)).astype(float), draw(st.booleans())
    positives = np.unique(query, return_index=True)[1]
    pool[positives] = False
    found = log_ranks(scores, query, pool, positives)
    for rank, positive in zip(found, positives, strict=True):
        others = scores[pool & (query == query[positive])]
        above = (others > scores[positive]).sum() + 0.5 * (others == scores[positive]).sum()
        assert rank == pytest.approx(np.log2(1 + above))


def test_filter_says_it_once_and_keeps_it(stdlib, tmp_path):
    given = {"pairs": str(stdlib / "pairs.parquet")}
    api.build_index(**given, encoder=ENCODER, index=tmp_path / "i")
    api.mine(index=tmp_path / "i", **given, output=tmp_path / "c")
    result = api.filter(candidates=tmp_path / "c", judge=[ONNX_ENCODER], output=tmp_path / "m")
    learned = read_learned(tmp_path / "m" / "relevance.json")
    assert [one for one in result.notes if one == learned.teacher.sentence]
    assert sum("Contrast or distil" in note for note in result.notes) == 1
    assert learned.teacher.over_bi_encoder.keys() == {"judge_bge_small_en"}
    assert 0 < learned.teacher.queries < FEWEST_QUERIES
    alone = api.filter(candidates=tmp_path / "c", output=tmp_path / "n")
    assert read_learned(tmp_path / "n" / "relevance.json").teacher is None
    assert not any("distil" in note for note in alone.notes)
