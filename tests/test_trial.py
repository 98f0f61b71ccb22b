"""The linear probe of the trial against slow sums, and trials on planted collections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.relevance.learned import DepthTrial, Gain
from hnmine.relevance.linear_probe import (
    SCALE,
    SHARPNESS,
    _chances,
    gradient_of,
    soft_ranks,
    train,
)
from hnmine.relevance.probes import ProbeData, compare
from hnmine.relevance.projection import WIDEST, subspace, unit_vectors

DIMENSION = 96
ANSWERS, STYLES = 40, 2000
USUAL = 20.0
OTHERS = (0.0, 5.0, 10.0, 40.0)


def units(rng, *shape):
    vectors = rng.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def batch(seed, rows=5, documents=9, negatives=2):
    rng = np.random.default_rng(seed)
    lists = rng.integers(documents, size=(rows, 1 + negatives))
    matrix = np.eye(DIMENSION) + 0.2 * rng.normal(size=(DIMENSION, DIMENSION))
    return matrix, units(rng, rows, DIMENSION), units(rng, documents, DIMENSION), lists


def test_a_gain_that_is_the_same_in_every_query_is_said_without_dividing_by_its_error():
    equal = Gain.of(np.full(100, 0.5))
    assert (equal.error, equal.significant) == (0.0, True)
    assert equal.deviations == "the same in every query"
    trial = DepthTrial(
        queries=100,
        usual=USUAL,
        over_usual={"5": equal},
        over_random=Gain.of(np.full(100, -0.5)),
    )
    chosen, warning = trial.sentences(5.0)
    assert "(the same in every query, 100 queries)" in chosen
    assert warning.startswith("Random negatives trained better probes (the same in every query)")


def loss_of(matrix, queries, vectors, documents):
    """The contrastive loss of one batch, whose gradient the probes follow."""
    chance, _, _ = _chances(matrix, queries, vectors, documents)
    return float(-np.log(np.diagonal(chance)).mean())


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

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10_000))
    def test_a_soft_rank_is_the_sum_of_sigmoids_of_leads(self, seed):
        rng = np.random.default_rng(seed)
        matrix, queries, vectors, _ = batch(seed)
        others = rng.random((len(queries), len(vectors))) < 0.7
        asked = rng.integers(len(queries), size=7), rng.integers(len(vectors), size=7)
        found = soft_ranks(matrix, queries, vectors, asked, others)
        mapped, of_documents = queries @ matrix.T, vectors @ matrix.T
        mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
        of_documents /= np.linalg.norm(of_documents, axis=1, keepdims=True)
        for query, document, rank in zip(*asked, found, strict=True):
            scores = of_documents @ mapped[query] / (of_documents @ mapped[query]).std()
            leads = [
                scores[other] - scores[document]
                for other in range(len(vectors))
                if others[query, other]
            ]
            soft = sum(1 / (1 + np.exp(-SHARPNESS * lead)) for lead in leads)
            assert rank == pytest.approx(np.log2(1 + soft), abs=1e-3)

    def test_a_soft_rank_tells_by_how_much_the_first_document_leads(self):
        queries, two = np.array([[1.0, 0.0]]), np.array([[True, True]])
        near, far = (np.array([[1.0, 0.0], [np.cos(a), np.sin(a)], [0, 1]]) for a in (0.2, 1.2))
        asked = np.array([0]), np.array([0])
        counts = np.column_stack([~two[:, :1], two])
        ranks = [
            soft_ranks(np.eye(2), queries, vectors, asked, counts)[0] for vectors in (near, far)
        ]
        assert ranks[0] > ranks[1] + 0.1


class TestProjection:
    def test_few_dimensions_stay_as_they_are(self):
        vectors = np.random.default_rng(0).normal(size=(40, WIDEST)).astype(np.float32)
        assert subspace(vectors) is None
        exact = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        assert np.allclose(unit_vectors(vectors, None), exact, atol=1e-7)

    def test_more_lose_the_smallest_directions_only(self):
        rng = np.random.default_rng(0)
        inside = rng.normal(size=(600, 100)) @ rng.normal(size=(100, 700))
        vectors = (inside + 1e-3 * rng.normal(size=inside.shape)).astype(np.float32)
        basis = subspace(vectors)
        assert basis.shape == (700, WIDEST)
        assert np.allclose(basis.T @ basis, np.eye(WIDEST), atol=1e-9)
        exact, found = unit_vectors(vectors, None), unit_vectors(vectors, basis)
        assert np.allclose(exact @ exact.T, found @ found.T, atol=1e-4)
        assert np.array_equal(subspace(vectors), basis)

    def test_its_axes_are_not_the_principal_ones(self):
        """Adam moves each coordinate by as much: those of noise may not stand alone."""
        rng = np.random.default_rng(0)
        sizes = 0.9 ** np.arange(300)
        vectors = (rng.normal(size=(2000, 300)) * sizes).astype(np.float32)
        of_axes = (unit_vectors(vectors, subspace(vectors)) ** 2).mean(axis=0)
        assert of_axes.max() < 100 * of_axes.min()


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
    every = np.arange(queries)
    data = ProbeData(ids, vectors(answer, style), documents, (every, every), counts)
    hard = queries + np.arange(4 * queries).reshape(queries, 4)
    return data, {0.0: hard, USUAL: hard + 4 * queries}


class TestTrial:
    @pytest.mark.parametrize("seed", range(3))
    def test_the_nearest_are_chosen_where_they_teach(self, seed):
        data, by_depth = planted(near_are_relevant=False, seed=seed)
        depth, trial = compare(data, USUAL, by_depth, {0.0: by_depth[0.0]})
        assert depth == 0.0
        gain = trial.over_usual["0"]
        assert gain.gain > 2 * gain.error
        assert trial.over_random.gain > 0
        assert "Depth 0, below the positive's score: " in trial.sentences(depth)[0]

    @pytest.mark.parametrize("below, chosen", [("near", 0.0), ("far", USUAL)])
    def test_the_nearest_must_teach_below_the_positive_too(self, below, chosen):
        data, by_depth = planted(near_are_relevant=False)
        lists = by_depth[0.0 if below == "near" else USUAL]
        depth, trial = compare(data, USUAL, by_depth, {0.0: lists})
        assert depth == chosen
        gain = Gain.of(data.log_ranks(lists) - data.log_ranks(by_depth[USUAL]))
        below = trial.below_the_positive
        assert (below.depth, below.gain, below.error) == (0.0, gain.gain, gain.error)
        over_random = Gain.of(
            data.log_ranks(by_depth[chosen]) - data.log_ranks(np.full_like(lists, -1))
        )
        assert trial.over_random == over_random
        said = {
            0.0: "Depth 0, below the positive's score: ",
            USUAL: "Depth 20 by rule: at 0 linear probes",
        }
        assert trial.sentences(depth)[0].startswith(said[chosen])

    @pytest.mark.parametrize("seed", range(3))
    def test_they_are_not_where_they_are_relevant_themselves(self, seed):
        data, by_depth = planted(near_are_relevant=True, seed=seed)
        depth, trial = compare(data, USUAL, by_depth, {0.0: by_depth[0.0]})
        assert depth == USUAL
        assert trial.over_usual["0"].gain < 0
        assert trial.sentences(depth)[0].startswith("Depth 20 by rule: ")

    def test_it_says_when_random_documents_teach_more(self):
        data, by_depth = planted(near_are_relevant=True)
        depth, trial = compare(data, USUAL, {USUAL: by_depth[0.0]}, {})
        assert depth == USUAL
        assert "Random negatives trained better probes" in trial.sentences(depth)[1]

    def test_equal_negatives_are_no_reason_to_leave_the_usual_depth(self):
        data, by_depth = planted(near_are_relevant=False)
        depth, trial = compare(data, USUAL, dict.fromkeys((USUAL, *OTHERS), by_depth[0.0]), {})
        assert depth == USUAL
        assert trial.over_usual["5"] == Gain(gain=0.0, error=0.0)

    def test_what_a_query_has_no_negative_for_is_filled_by_chance(self):
        data, by_depth = planted(near_are_relevant=False)
        none = np.full_like(by_depth[0.0], -1)
        assert (data.log_ranks(none) == data.log_ranks(none.copy())).all()
        some = by_depth[0.0].copy()
        some[::2] = -1
        worths = [data.log_ranks(lists).mean() for lists in (none, some, by_depth[0.0])]
        assert worths == sorted(worths)
