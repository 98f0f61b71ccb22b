"""The linear probe of the trial against slow sums, and trials on planted collections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.relevance.depth_trial import OTHER_DEPTHS, ProbeData, _gain, compare
from hnmine.relevance.learned import DEFAULT_DEPTH, DepthTrial, Gain
from hnmine.relevance.linear_probe import SCALE, gradient_of, loss_of, ranks, train

DIMENSION = 96
ANSWERS, STYLES = 40, 2000


def units(rng, *shape):
    vectors = rng.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def batch(seed, rows=5, documents=9, negatives=2):
    rng = np.random.default_rng(seed)
    lists = rng.integers(documents, size=(rows, 1 + negatives))
    matrix = np.eye(DIMENSION) + 0.2 * rng.normal(size=(DIMENSION, DIMENSION))
    return matrix, units(rng, rows, DIMENSION), units(rng, documents, DIMENSION), lists


def test_a_gain_that_is_the_same_in_every_query_is_said_without_dividing_by_its_error():
    equal = _gain(np.full(100, 0.5))
    assert (equal.error, equal.significant) == (0.0, True)
    assert equal.deviations == "the same in every query"
    trial = DepthTrial(queries=100, over_usual={"5": equal}, over_random=_gain(np.full(100, -0.5)))
    chosen, warning = trial.sentences(5.0)
    assert "(the same in every query, 100 queries)" in chosen
    assert warning.startswith("Random negatives trained better probes (the same in every query)")


class TestLinearProbe:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10_000))
    def test_the_loss_is_the_contrastive_one(self, seed):
        matrix, queries, vectors, lists = batch(seed)
        losses = []
        for row, (own, *_) in enumerate(lists):
            logits = {}
            for column in range(lists.shape[1]):
                for other in range(len(lists)):
                    document = lists[other, column]
                    if document == own and (other, column) != (row, 0):
                        continue
                    one, two = matrix @ queries[row], matrix @ vectors[document]
                    cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
                    logits[other, column] = SCALE * cosine
            every = np.array(list(logits.values()))
            losses.append(np.log(np.exp(every - logits[row, 0]).sum()))
        assert loss_of(matrix, queries, vectors, lists) == pytest.approx(np.mean(losses))

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10_000))
    def test_the_gradient_is_that_of_the_loss(self, seed):
        matrix, queries, vectors, lists = batch(seed)
        gradient = gradient_of(matrix, queries, vectors, lists)
        step = np.random.default_rng(seed).normal(size=matrix.shape)
        sides = [
            loss_of(matrix + sign * 1e-6 * step, queries, vectors, lists) for sign in (1.0, -1.0)
        ]
        assert (gradient * step).sum() == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-5)

    def test_training_lowers_the_loss_and_does_not_depend_on_the_order_of_the_rows(self):
        rng = np.random.default_rng(1)
        ids = [f"q{n}" for n in range(64)]
        queries, vectors = units(rng, 64, DIMENSION), units(rng, 200, DIMENSION)
        lists = rng.permutation(200)[:192].reshape(64, 3)
        matrix = train(ids, queries, vectors, lists)
        before = loss_of(np.eye(DIMENSION), queries, vectors, lists)
        assert loss_of(matrix, queries, vectors, lists) < 0.95 * before
        order = rng.permutation(64)
        again = train([ids[n] for n in order], queries[order], vectors, lists[order])
        assert np.allclose(matrix, again, atol=1e-9)

    def test_a_rank_counts_the_documents_before_that_count(self):
        queries = np.array([[1.0, 0.0]])
        vectors = np.array([[0.8, 0.6], [1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        counts = np.array([[True, True, True, True]])
        assert ranks(np.eye(2), queries, vectors, np.array([0]), counts).tolist() == [2]
        counts[0, 1] = False
        assert ranks(np.eye(2), queries, vectors, np.array([0]), counts).tolist() == [1]
        swapped = np.array([[0.0, 1.0], [1.0, 0.0]])
        assert ranks(swapped, queries, vectors, np.array([3]), counts).tolist() == [2]


def planted(near_are_relevant, seed=0, queries=400):
    """Queries that ask for an answer in a style; documents give an answer in some style.

    The nearest documents have the query's style and another answer, and teach to overlook styles;
    or they have its answer, and teach what is wrong.
    """
    rng = np.random.default_rng(seed)
    half = DIMENSION // 2
    answers, styles = units(rng, ANSWERS, half), units(rng, STYLES, half)

    def drawn(n):
        return rng.integers(ANSWERS, size=n), rng.integers(STYLES, size=n)

    def vectors(answer, style):
        joined = np.concatenate([answers[answer], styles[style]], axis=1)
        joined += 0.1 * rng.normal(size=joined.shape)
        return joined / np.linalg.norm(joined, axis=1, keepdims=True)

    answer, style = drawn(queries)
    others, other_styles = drawn(4 * queries)
    same = np.repeat(answer, 4), np.repeat(style, 4)
    near = vectors(same[0], other_styles) if near_are_relevant else vectors(others, same[1])
    positives = vectors(answer, drawn(queries)[1])
    far = drawn(4 * queries)
    documents = np.concatenate([positives, near, vectors(*far)])
    given = np.concatenate([answer, same[0] if near_are_relevant else others, far[0]])
    counts = given != answer[:, None]
    ids = [f"q{n}" for n in range(queries)]
    data = ProbeData(ids, vectors(answer, style), documents, np.arange(queries), counts)
    hard = queries + np.arange(4 * queries).reshape(queries, 4)
    return data, {0.0: hard, DEFAULT_DEPTH: hard + 4 * queries}


class TestTrial:
    @pytest.mark.parametrize("seed", range(3))
    def test_the_nearest_are_chosen_where_they_teach(self, seed):
        data, by_depth = planted(near_are_relevant=False, seed=seed)
        depth, trial = compare(data, by_depth, by_depth)
        assert depth == 0.0
        gain = trial.over_usual["0"]
        assert gain.gain > 2 * gain.error
        assert trial.over_random.gain > 0
        assert "Depth 0, below the positive's score: " in trial.sentences(depth)[0]

    @pytest.mark.parametrize("below, chosen", [("near", 0.0), ("far", DEFAULT_DEPTH)])
    def test_the_nearest_must_teach_below_the_positive_too(self, below, chosen):
        data, by_depth = planted(near_are_relevant=False)
        lists = by_depth[0.0 if below == "near" else DEFAULT_DEPTH]
        depth, trial = compare(data, by_depth, {0.0: lists})
        assert depth == chosen
        gain = _gain(data.log_ranks(lists) - data.log_ranks(by_depth[DEFAULT_DEPTH]))
        below = trial.below_the_positive
        assert (below.depth, below.gain, below.error) == (0.0, gain.gain, gain.error)
        over_random = _gain(
            data.log_ranks(by_depth[chosen]) - data.log_ranks(np.full_like(lists, -1))
        )
        assert trial.over_random == over_random
        said = {
            0.0: "Depth 0, below the positive's score: ",
            DEFAULT_DEPTH: "Depth 20: at 0 linear probes",
        }
        assert trial.sentences(depth)[0].startswith(said[chosen])

    @pytest.mark.parametrize("seed", range(3))
    def test_they_are_not_where_they_are_relevant_themselves(self, seed):
        data, by_depth = planted(near_are_relevant=True, seed=seed)
        depth, trial = compare(data, by_depth, by_depth)
        assert depth == DEFAULT_DEPTH
        assert trial.over_usual["0"].gain < 0
        assert trial.sentences(depth)[0].startswith("Depth 20: ")

    def test_it_says_when_random_documents_teach_more(self):
        data, by_depth = planted(near_are_relevant=True)
        depth, trial = compare(data, {DEFAULT_DEPTH: by_depth[0.0]}, {})
        assert depth == DEFAULT_DEPTH
        assert "Random negatives trained better probes" in trial.sentences(depth)[1]

    def test_equal_negatives_are_no_reason_to_leave_the_usual_depth(self):
        data, by_depth = planted(near_are_relevant=False)
        depth, trial = compare(
            data, dict.fromkeys((DEFAULT_DEPTH, *OTHER_DEPTHS), by_depth[0.0]), {}
        )
        assert depth == DEFAULT_DEPTH
        assert trial.over_usual["5"] == Gain(gain=0.0, error=0.0)

    def test_what_a_query_has_no_negative_for_is_filled_by_chance(self):
        data, by_depth = planted(near_are_relevant=False)
        none = np.full_like(by_depth[0.0], -1)
        assert (data.log_ranks(none) == data.log_ranks(none.copy())).all()
        some = by_depth[0.0].copy()
        some[::2] = -1
        worths = [data.log_ranks(lists).mean() for lists in (none, some, by_depth[0.0])]
        assert worths == sorted(worths)
