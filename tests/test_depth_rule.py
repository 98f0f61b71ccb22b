"""The rule for the depth: properties over the ranks of positives and the size of the pool."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnmine.relevance.depth_rule import (
    FEWEST,
    SHALLOW,
    SHARE,
    USUAL,
    DepthRule,
    Rows,
    depth_by_rule,
)
from hnmine.relevance.depth_trial import FEWEST as FEWEST_TRIED
from hnmine.relevance.depth_trial import TrialRows

places = st.lists(st.integers(0, 60), min_size=FEWEST, max_size=40)


def rows_of(ranks, pool=60):
    """Queries with `pool` candidates and one positive each, at these ranks."""
    query = np.repeat(np.arange(len(ranks)), pool + 1)
    positive = np.tile(np.arange(pool + 1) == pool, len(ranks))
    depth = np.tile(np.arange(pool + 1, dtype=float), len(ranks))
    depth[positive] = np.minimum(ranks, pool)
    return Rows(query, ~positive, positive, depth)


@given(places, st.integers(0, 100), st.integers(0, 39))
def test_it_is_no_nearer_where_a_positive_stands_deeper(ranks, deeper, place):
    moved = list(ranks)
    moved[place % len(moved)] += deeper
    assert depth_by_rule(rows_of(moved)).depth >= depth_by_rule(rows_of(ranks)).depth


@given(places, st.integers(1, 80))
def test_it_is_within_half_of_the_candidates(ranks, pool):
    found = depth_by_rule(rows_of(ranks, pool))
    assert 0 <= found.depth <= SHARE * pool


@given(places, st.randoms(use_true_random=False))
def test_it_depends_neither_on_the_order_of_rows_nor_of_queries(ranks, random):
    rows = rows_of(ranks)
    order = np.array(random.sample(range(len(rows.query)), len(rows.query)))
    assert depth_by_rule(Rows(*(values[order] for values in rows))) == depth_by_rule(rows)
    shuffled = random.sample(ranks, len(ranks))
    assert depth_by_rule(rows_of(shuffled)) == depth_by_rule(rows)


@given(places, st.integers(2, 5))
def test_a_query_with_several_positives_counts_once(ranks, copies):
    rows = rows_of(ranks)
    again = np.repeat(np.arange(len(rows.query)), np.where(rows.positive, copies, 1))
    assert depth_by_rule(Rows(*(values[again] for values in rows))) == depth_by_rule(rows)


def test_positives_at_the_top_ask_for_the_nearest_below_them():
    found = depth_by_rule(rows_of([0] * 30))
    assert (found.depth, found.stays_below) == (0.0, True)


def test_scattered_positives_ask_for_deeper_ones():
    found = depth_by_rule(rows_of([30] * 30, pool=200))
    assert (found.depth, found.stays_below) == (60.0, False)


def test_a_small_pool_is_no_reason_to_stay_below_the_positive():
    """Its positives stand below all candidates: there would be nothing to choose."""
    found = depth_by_rule(rows_of([12] * 30, pool=12))
    assert found.depth == 6.0 <= SHALLOW
    assert not found.stays_below
    assert "half of the 12 candidates" in found.reason


@pytest.mark.parametrize("queries", [0, FEWEST - 1])
def test_with_hardly_a_positive_it_is_the_usual_one(queries):
    found = depth_by_rule(rows_of([0] * queries))
    assert not found.applies
    assert found.depth == (USUAL if queries else 0.0)
    few = f"only {queries} queries" if queries else "no bi-encoder says where"
    assert few in found.reason


def test_a_damaged_file_is_refused():
    for wrong in ({"depth": -1.0}, {"rank": float("nan")}, {"pool": float("inf")}):
        with pytest.raises(ValueError):
            DepthRule.model_validate({"queries": 1, "rank": 1, "pool": 1, "depth": 1, **wrong})


@pytest.mark.parametrize(
    ("without", "drawn"), [(0, FEWEST_TRIED + 1), (1, FEWEST_TRIED), (2, None)]
)
def test_queries_without_a_candidate_to_choose_are_no_part_of_a_trial(without, drawn):
    """Their probes would train on random documents at every depth."""
    queries = FEWEST_TRIED + 1
    query = np.repeat(np.arange(queries), 2)
    positive = np.tile([True, False], queries)
    table = pa.table(
        {
            "query_row": query,
            "is_positive": positive,
            "query_id": [str(row) for row in query],
        }
    )
    eligible = ~positive & (query >= without)
    ones = np.ones(len(query))
    rows = TrialRows(table, eligible, eligible, ones, ones).draw()
    assert (rows and len(set(rows.table["query_id"].to_pylist()))) == drawn


def test_few_positives_and_few_candidates_are_both_named():
    few = DepthRule(queries=3, rank=0.0, pool=2.0, depth=1.0)
    assert few.reason.endswith("by the bi-encoder, so it is half of the 2 candidates")
    assert "half" not in DepthRule(queries=3, rank=0.0, pool=60.0, depth=20.0).reason
