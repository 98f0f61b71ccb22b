"""The bound on the share of false negatives: bets, judge errors, and the order of the tests."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnmine.guarantee.certify import Claim, Draw, certify
from hnmine.guarantee.certify import test as claim_test
from hnmine.guarantee.judge_errors import Hits, limit_of, most_false
from hnmine.guarantee.without_replacement import (
    ALTERNATIVES,
    capital_path,
    draws_to_go,
    log_capital,
)

RISK = 0.05


@st.composite
def draws(draw, most=40):
    """A set's size, the limit to rule out, and the marks of some draws."""
    population = draw(st.integers(2, most))
    limit = draw(st.integers(1, population))
    marks = draw(st.lists(st.booleans(), max_size=population))
    return population, limit, np.array(marks, dtype=bool)


def slow_capital(population, limit, marks):
    """Multiply the chances of each draw, one by one, in fractions."""

    def chance(total):
        left, product = total, Fraction(1)
        for n, mark in enumerate(marks):
            here = population - n
            product *= Fraction(max(left, 0) if mark else max(here - left, 0), here)
            left -= mark
        return product

    alternatives = [chance(math.floor(share * limit)) for share in ALTERNATIVES]
    against = chance(limit)
    won = sum(alternatives, Fraction(0)) / len(alternatives)
    if marks.count(True) >= limit:
        return 0.0
    return math.inf if not against else float(won / against)


class TestCapital:
    @given(draws())
    def test_it_is_the_product_of_the_chances(self, case):
        population, limit, marks = case
        if not len(marks):
            return
        expected = slow_capital(population, limit, marks.tolist())
        found = capital_path(population, limit, marks)[-1]
        assert np.exp(found) == pytest.approx(expected, rel=1e-9, abs=1e-300)

    @given(st.integers(2, 200), st.data())
    def test_no_draw_is_expected_to_win_if_too_many_are_marked(self, population, data):
        limit = data.draw(st.integers(1, population))
        truth = data.draw(st.integers(limit, population))
        drawn = data.draw(st.integers(0, population - 1))
        low, high = max(0, drawn - (population - truth)), min(drawn, truth)
        marked = data.draw(st.integers(low, high))

        def capital(after, count):
            return math.exp(log_capital(population, limit, np.float64(after), np.float64(count)))

        now = capital(drawn, marked)
        if math.isinf(now):
            return
        chance = (truth - marked) / (population - drawn)
        then = 0.0
        for mark, weight in ((1, chance), (0, 1 - chance)):
            if weight > 0:
                then += weight * capital(drawn + 1, marked + mark)
        assert then <= now * (1 + 1e-9)

    def test_a_wrong_claim_is_as_rare_as_promised(self):
        rng, population, limit, wrong = np.random.default_rng(0), 300, 15, 0
        for _ in range(2000):
            marks = rng.permutation(population) < limit
            wrong += capital_path(population, limit, marks[:250]).max() >= -math.log(RISK)
        # 5 % and three standard errors.
        assert wrong <= 2000 * (RISK + 3 * math.sqrt(RISK * (1 - RISK) / 2000))

    def test_few_marks_are_proved_by_a_few_hundred_draws(self):
        rng, proved = np.random.default_rng(1), 0
        for _ in range(200):
            marks = rng.permutation(2500) < 6  # 0.24 %
            proved += capital_path(2500, 51, marks[:400]).max() >= -math.log(RISK)
        assert proved >= 180


class TestDrawsToGo:
    @given(draws(most=30))
    def test_it_is_the_first_number_that_is_enough(self, case):
        population, limit, marks = case
        risk = 0.0512345  # No ratio of small numbers.
        further = draws_to_go(population, limit, marks, risk)
        for extra in range(population - len(marks) + 1):
            path = [*marks.tolist(), *[False] * extra]
            if slow_capital(population, limit, path) >= 1 / risk and sum(marks) < limit:
                assert further == extra
                return
        assert further is None

    def test_all_pairs_together_prove_a_share_that_holds(self):
        assert draws_to_go(30, 1, np.zeros(0, dtype=bool), RISK) == 29


class TestJudgeErrors:
    def test_a_truthful_judge_has_to_rule_out_one_more_than_allowed(self):
        assert limit_of(1000, 0.02, RISK, None).marked == 21

    @given(st.integers(1, 60), st.integers(100, 5000))
    def test_a_judge_that_misses_more_has_to_flag_fewer(self, asked, population):
        limits = [
            limit_of(population, 0.05, RISK, Hits(asked, found)).marked
            for found in range(asked + 1)
        ]
        assert limits[0] == 0
        assert all(a <= b for a, b in pairwise(limits))
        assert limits[-1] <= limit_of(population, 0.05, RISK, None).marked

    @given(st.integers(100, 5000), st.sampled_from([0.01, 0.02, 0.05, 0.2]))
    def test_the_bound_holds_after_false_alarms_are_left_out(self, population, max_false):
        sure = limit_of(population, max_false, RISK, Hits(10**9, 10**9))
        written = population - most_false(population, max_false)
        assert sure.marked - 1 <= max_false * written + 1e-9

    @pytest.mark.parametrize("rate", [0.9, 0.6])
    def test_a_wrong_claim_is_rare_although_the_judge_misses_some(self, rate):
        rng, population, wrong = np.random.default_rng(2), 2000, 0
        false = 41  # One more than 2 %.
        for _ in range(300):
            hits = Hits(50, int(rng.binomial(50, rate)))
            truth = rng.permutation(population) < false
            flagged = truth & (rng.random(population) < rate)
            pairs = [("q", str(n)) for n in range(400)]
            judged = dict(zip(pairs, flagged.tolist(), strict=False))
            wrong += claim_test(Draw(population, pairs), judged, Claim(0.02, RISK, hits)).certified
        assert wrong <= 300 * (RISK + 3 * math.sqrt(RISK * (1 - RISK) / 300))

    def test_without_known_positives_nothing_is_proved(self):
        pairs = [("q", str(n)) for n in range(50)]
        judged = dict.fromkeys(pairs, False)
        test = claim_test(Draw(50, pairs), judged, Claim(0.1, RISK, Hits(0, 0)))
        assert (test.certified, test.to_go) == (False, None)


class TestOrder:
    def pairs(self, *numbers):
        return [("q", str(n)) for n in numbers]

    def test_the_first_step_that_is_not_proved_ends_the_tests(self):
        good, bad = self.pairs(*range(100)), self.pairs(*range(100, 200))
        judged = dict.fromkeys(good, False) | dict.fromkeys(bad, True)
        tests = certify(
            [Draw(100, good), Draw(100, bad), Draw(100, good)], judged, Claim(0.1, RISK)
        )
        assert [test.certified for test in tests] == [True, False]

    def test_a_pair_without_a_verdict_ends_the_sample(self):
        pairs = self.pairs(*range(100))
        judged = {pair: False for n, pair in enumerate(pairs) if n != 10}
        [test] = certify([Draw(100, pairs)], judged, Claim(0.1, RISK))
        assert (test.certified, test.judged) == (False, 10)
        assert test.to_go is not None

    def test_all_pairs_judged_decide_exactly(self):
        pairs = self.pairs(*range(50))
        for relevant, holds in ((5, True), (6, False)):
            judged = {pair: n < relevant for n, pair in enumerate(pairs)}
            [test] = certify([Draw(50, pairs)], judged, Claim(0.1, RISK))
            assert test.certified is holds
