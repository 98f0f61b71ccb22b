"""Promises of rules and choice that only exact numbers show."""

from __future__ import annotations

import numpy as np
import pytest
from test_filters import simple

from hnmine.choose import choose, race
from hnmine.keyed_noise import keyed_noise
from hnmine.selection.rules import BELOW_THE_POSITIVE, KEPT
from hnmine.selection.rules import reasons as reasons_by


class TestNoise:
    @pytest.mark.parametrize(
        ("seed", "expected"),
        [
            (0, [2889860363692491617, 16124943906031276599, 16697114918143838068]),
            (7, [8562422586551363603, 2005740768985548015, 14354940914567382007]),
            (-1, [17960433287681260976, 12237742518545245393, 939146656599801901]),
        ],
    )
    def test_a_seed_means_the_same_choice_in_every_version(self, seed, expected):
        assert keyed_noise(seed, ["q", "q", "\ud800"], ["d", "e", ""]).tolist() == expected

    def test_seeds_that_differ_by_two_to_the_63_are_one(self):
        assert keyed_noise(2**63, ["q"], ["d"]) == keyed_noise(0, ["q"], ["d"])

    def test_no_noise_is_too_small_or_too_large_for_a_draw(self):
        noise = np.array([0, 1, 2**12, 2**63, 2**64 - 2**12, 2**64 - 1], np.uint64)
        keys = race(noise, np.zeros(6))
        assert np.isfinite(keys).all()
        # The key is the logarithm of an exponential variable; 52 bits of the noise count.
        expected = [-36.7368005696771, -36.7368005696771, -35.63818828100899, -0.366512920581664]
        assert keys.tolist() == pytest.approx([*expected, *[3.6037789929704576] * 2], rel=1e-15)

    def test_ten_times_the_weight_is_ten_times_as_fast(self):
        noise = keyed_noise(0, ["q"] * 9, list("abcdefghi"))
        keys = race(noise, np.zeros(9)) - race(noise, np.full(9, np.log(10)))
        assert keys == pytest.approx(np.log(10))


class TestChoose:
    def test_ties_go_to_the_earlier_row_in_long_blocks_too(self):
        # Numpy's default sort is stable for short arrays only.
        query = np.random.default_rng(0).integers(0, 3, 5000)
        chosen = choose(query, np.ones(5000, bool), np.zeros(5000), np.array([40, 1, 300]))
        for number, n in enumerate((40, 1, 300)):
            own = np.flatnonzero(query == number)
            assert np.flatnonzero(chosen & (query == number)).tolist() == own[:n].tolist()


def test_what_scores_as_high_as_the_positive_is_not_below_it():
    found = reasons_by(simple(([0.5], [0.5, 0.4])), {"guide": BELOW_THE_POSITIVE})
    assert found.tolist() == ["guide", "guide", KEPT]
