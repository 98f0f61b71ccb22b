"""The price that keeps one simple score from telling the chosen negatives from the positives."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER
from hypothesis import given
from hypothesis import strategies as st

import hnmine as api
from benchmarks.quality.guarantee import World
from hnmine.choose import choose
from hnmine.relevance.depth_price import cost
from hnmine.relevance.shortcut_price import (
    AUC,
    HIGHEST_PRICE,
    prices_of_shortcuts,
    shortcut_cost,
)
from hnmine.relevance.within_query import auc_within, mean_within, positives_above

QUERIES, CANDIDATES, N = 150, 30, 4

scored = st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 4) | st.just(np.nan))


@given(st.lists(scored, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_the_share_above_is_counted_pair_by_pair_in_any_order(rows, random):
    for some in (rows, random.sample(rows, len(rows))):
        query, positive, score = (np.array(column) for column in zip(*some, strict=True))
        found = positives_above(score.astype(float), positive, query)
        for row, share in enumerate(found):
            good = score[(query == query[row]) & positive & np.isfinite(score)]
            if len(good) and np.isfinite(score[row]):
                assert share == pytest.approx((np.sign(good - score[row]) / 2 + 0.5).mean())
            else:
                assert np.isnan(share)


class Planted:
    """Queries with one positive; a candidate's relevance follows its score.

    Args:
        above: the share of candidates that score above the positive.
        sign: -1 to let the score point the other way.
        doubt: what relevance gains by each unit of the score.
    """

    def __init__(self, above=0.5, sign=1, doubt=1.0, seed=0):
        rng = np.random.default_rng(seed)
        self.query = np.repeat(np.arange(QUERIES), 1 + CANDIDATES)
        self.positive = np.tile([True] + [False] * CANDIDATES, QUERIES)
        score = rng.normal(0, 1, len(self.query))
        self.relevance = doubt * score + rng.normal(0, 1, len(score)) - 3
        score[self.positive] = np.quantile(score, 1 - above)
        self.score = sign * score
        self.above = {"bm25": positives_above(self.score, self.positive, self.query)}

    def choose(self, extra=0.0):
        n = np.full(QUERIES, N)
        return choose(self.query, ~self.positive, cost(self.relevance) + extra, n)

    @property
    def prices(self):
        return prices_of_shortcuts(self.query, self.above, self.choose)

    def chosen_at(self, prices):
        return self.choose(shortcut_cost(self.above, prices))

    def auc(self, prices):
        rows = self.chosen_at(prices) | self.positive
        return auc_within(self.score[rows], self.positive[rows], self.query[rows])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_lowest_price_keeps_the_shortcut_below_the_bound(sign):
    case = Planted(sign=sign)
    prices = case.prices
    if sign == 1:
        assert case.auc({}) > 0.9
        assert 0 < prices["bm25"] < HIGHEST_PRICE
        assert case.auc(prices) <= AUC < case.auc({"bm25": 0.97 * prices["bm25"]})
    else:
        assert case.auc({}) < 0.1
        assert -HIGHEST_PRICE < prices["bm25"] < 0
        assert 1 - case.auc(prices) <= AUC < 1 - case.auc({"bm25": 0.97 * prices["bm25"]})


def test_a_higher_price_never_makes_the_shortcut_stronger_and_never_costs_more_than_it_may():
    case = Planted()
    found = [case.auc({"bm25": price}) for price in np.linspace(0, HIGHEST_PRICE, 12)]
    assert found == sorted(found, reverse=True)
    free, priced = (
        cost(case.relevance)[case.chosen_at(prices)].mean() for prices in ({}, case.prices)
    )
    assert free <= priced <= free + HIGHEST_PRICE * (case.auc({}) - case.auc(case.prices))


def test_nothing_is_paid_where_there_is_no_shortcut_or_nothing_is_known():
    assert Planted(above=0.5, doubt=0.0).prices == {}
    case = Planted()
    case.above = {"bm25": np.full(len(case.query), np.nan)}
    assert case.prices == {}


def test_where_the_candidates_do_not_allow_it_the_price_stays_bounded():
    case = Planted(above=0.01)
    assert case.prices["bm25"] == pytest.approx(HIGHEST_PRICE)
    assert case.auc(case.prices) > AUC
    doubtful = Planted(above=0.3, doubt=20.0)  # What scores above the positive is relevant.
    assert doubtful.prices["bm25"] == pytest.approx(HIGHEST_PRICE)
    assert doubtful.auc(doubtful.prices) > AUC
    free, priced = (
        cost(doubtful.relevance)[doubtful.chosen_at(prices)] for prices in ({}, doubtful.prices)
    )
    assert priced.max() <= free.max() + HIGHEST_PRICE


def test_a_price_that_overshoots_is_lowered():
    case = Planted(above=0.7)
    assert 1 - AUC < case.auc(case.prices) <= AUC


def test_each_shortcut_has_its_price():
    one, other = Planted(), Planted(sign=-1, seed=1)
    one.above["length"] = other.above["bm25"]
    one.relevance = (one.relevance + other.relevance) / 2
    prices = one.prices
    assert prices["bm25"] > 0 > prices["length"]
    for name in ("bm25", "length"):
        share = one.above[name][one.chosen_at(prices)]
        auc = mean_within(share, one.query[one.chosen_at(prices)]).mean()
        assert 1 - AUC - 0.05 <= auc <= AUC + 0.05


@pytest.fixture(scope="module")
def mined(stdlib, tmp_path_factory):
    """Candidates of the standard library, in one part and in many."""
    root = tmp_path_factory.mktemp("shortcut")
    corpus, pairs = stdlib / "corpus.parquet", stdlib / "pairs.parquet"
    encoder = {"encoder": ENCODER, "max_length": 48}
    api.build_index(corpus=corpus, pairs=pairs, index=root / "i", progress=False, **encoder)
    for name, block in (("one", 512), ("many", 7)):
        api.mine(
            index=root / "i", pairs=pairs, output=root / name, block_size=block, progress=False
        )
    return root


def filtered(mined, name="one", **given):
    output = mined / f"m-{name}-{len(given)}"
    api.filter_negatives(
        candidates=mined / name, output=output, overwrite=True, progress=False, depth=4, **given
    )
    learned, hardness = (
        json.loads((output / f"{name}.json").read_text()) for name in ("relevance", "hardness")
    )
    return pq.read_table(output / "scored"), learned, hardness


def test_filter_keeps_bm25_below_the_bound_whatever_the_parts(mined):
    table, learned, hardness = filtered(mined)
    prices = learned["shortcut_prices"]
    assert 0 < prices["bm25"] <= HIGHEST_PRICE + 1e-9
    columns = table.to_pydict()
    query, positive, selected = (
        np.array(columns[name]) for name in ("query_id", "is_positive", "selected")
    )
    bm25, relevance, depth, shortcut = (
        np.array(columns[name], dtype=float)
        for name in ("bm25_score", "relevance", "depth", "shortcut")
    )
    code = np.unique(query, return_inverse=True)[1]
    if set(prices) == {"bm25"}:
        expected = prices["bm25"] * positives_above(bm25, positive, code)
        assert shortcut == pytest.approx(expected, abs=1e-6)
    order = cost(relevance) + learned["price_of_depth"] * depth
    keep, n = np.array(columns["keep"]), np.full(code.max() + 1, 5)
    assert (choose(code, keep, order + shortcut, n) == selected).all()
    free = choose(code, keep, order, n)
    before, after = (
        auc_within(bm25[rows], positive[rows], code[rows])
        for rows in (free | positive, selected | positive)
    )
    assert hardness["shortcuts"]["bm25"] == pytest.approx(after, abs=1e-5)
    assert after <= AUC or (prices["bm25"] > 0.99 and after < before)
    others, *more = filtered(mined, "many")
    assert [learned, hardness] == more
    for name in ("query_id", "doc_id", "selected", "shortcut"):
        assert others[name].to_pylist() == table[name].to_pylist()


@pytest.mark.parametrize(
    "given", [{"strata": "bm25_rank is null"}, {"quota": {"bm25_rank is not null": 1, "true": 1}}]
)
def test_no_price_is_learned_for_another_choice(mined, given):
    _, learned, _ = filtered(mined, **given)
    assert learned["shortcut_prices"] == {}


def test_the_study_of_the_guarantee_chooses_by_the_same_order():
    ones, zeros = np.ones(2, dtype=bool), np.zeros(2)
    world = World(
        query=np.zeros(2, dtype=np.int64),
        relevance=zeros,
        price=0.0,
        depth=zeros,
        shortcut=np.array([1.0, 0.0]),
        eligible=ones,
        positive=~ones,
        false=~ones,
        logit=zeros,
        asked=1,
    )
    assert world.chosen(0.0).tolist() == [False, True]
