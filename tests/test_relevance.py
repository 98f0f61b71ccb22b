from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.choose import choose
from hnmine.relevance import neighbours
from hnmine.relevance.depth_price import cost, price_of_depth
from hnmine.relevance.evidence import Scale, within_query
from hnmine.relevance.model import FEWEST_QUERIES, NEIGHBOURS, Relevance, Sample
from hnmine.relevance.neighbours import neighbour_means
from hnmine.relevance.pu_learning import learn

PROPERTY = settings(max_examples=60, deadline=None)


def world(queries=300, candidates=40, relevant=0.05, seed=0, noise=(1.0, 1.0), separation=2.0):
    """Candidates of which a known share is relevant, with two judges of which one may be useless.

    Returns the table, and for each row whether it is truly relevant.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for query in range(queries):
        truth = np.concatenate([[True], rng.random(candidates) < relevant])
        level = rng.normal()
        judges = [
            level
            + separation * truth / max(scale, 1e-9) * (scale < 9)
            + rng.normal(size=len(truth))
            for scale in noise
        ]
        for place, is_relevant in enumerate(truth):
            rows.append(
                {
                    "query_id": f"q{query}",
                    "query_row": query,
                    "doc_id": f"d{place}",
                    "is_positive": place == 0,
                    "rank": None if place == 0 else place - 1,
                    "bm25_rank": place,
                    "one": judges[0][place],
                    "two": judges[1][place],
                    "truth": bool(is_relevant),
                }
            )
    table = pa.Table.from_pylist(rows)
    return Sample(table, ["one", "two"]), np.array(table["truth"].to_pylist())


class TestEvidence:
    @PROPERTY
    @given(
        st.lists(
            st.tuples(st.integers(0, 3), st.booleans(), st.floats(-9, 9) | st.just(np.nan)),
            max_size=25,
        )
    )
    def test_within_a_query_a_positive_counts_as_one_more_candidate(self, rows):
        query, among, scores = (np.array([row[n] for row in rows]) for n in range(3))
        query, among = query.astype(np.int64), among.astype(bool)
        found = within_query(scores.astype(float), query, among)
        for row in range(len(rows)):
            pool = [
                scores[n]
                for n in range(len(rows))
                if query[n] == query[row] and np.isfinite(scores[n]) and (among[n] or n == row)
            ]
            spread = np.std(pool) if pool else 0.0
            known = np.isfinite(scores[row]) and spread > 1e-9
            expected = (scores[row] - np.mean(pool)) / spread if known else 0.0
            assert found[row] == pytest.approx(expected, rel=1e-6, abs=1e-6)

    def test_what_is_unknown_is_neither_for_nor_against(self):
        scores = np.array([1.0, 2.0, 3.0, np.nan, np.inf])
        assert Scale.of(scores).apply(scores)[3:].tolist() == [0.0, 0.0]
        assert Scale.of(np.array([np.nan])).apply(np.array([np.nan])).tolist() == [0.0]


class TestLearning:
    def test_it_is_the_minimum_of_the_loss_that_it_states(self):
        rng = np.random.default_rng(1)
        positives, candidates = rng.normal(1, 1, (60, 2)), rng.normal(0, 1, (900, 2))
        found = learn(positives, candidates)

        def loss(weights):
            s = [weights[0] + x @ weights[1:] for x in (positives, candidates)]
            fit = (np.log1p(np.exp(-s[0])).mean() + np.log1p(np.exp(s[1])).mean()) / 2
            return fit + 5.0 / 60 * ((weights[1:] - 0.3) ** 2).sum() / 2

        for _ in range(200):
            assert loss(found) <= loss(found + rng.normal(0, 0.05, 3) * [1, 1, 1]) + 1e-7

    @PROPERTY
    @given(st.integers(0, 10**6))
    def test_no_weight_is_ever_negative(self, seed):
        rng = np.random.default_rng(seed)
        found = learn(rng.normal(-1, 1, (30, 3)), rng.normal(0, 1, (200, 3)))
        assert (found[1:] >= 0).all()

    def test_a_judge_that_knows_nothing_gets_next_to_no_weight(self):
        sample, _ = world(noise=(1.0, 9.0))
        judges = Relevance.learn(sample).judges
        weight = {name: np.mean(v.among_all + v.within_query) for name, v in judges.items()}
        assert weight["two"] < 0.15 * weight["one"]

    def test_two_judges_order_better_than_each_alone(self):
        sample, truth = world()
        both = Relevance.learn(sample).estimate(sample).relevance
        rows = sample.candidate

        def auc(score):
            order = np.argsort(np.argsort(score[rows]))
            relevant = truth[rows]
            return order[relevant].mean() - order[~relevant].mean()

        assert auc(both) > auc(sample.scores["one"]) and auc(both) > auc(sample.scores["two"])

    def test_a_query_is_not_judged_by_what_was_learned_from_it(self):
        sample, _ = world(queries=40)
        model = Relevance.learn(sample)
        own = sample.query == 0
        changed, _ = world(queries=40)
        changed.scores["one"] = np.where(own & changed.is_positive, 50.0, changed.scores["one"])
        # The scale is shared, the weights of the query's own fold are not.
        again = Relevance.learn(changed)
        fold = int(sample.fold[0])
        assert np.allclose(model.weights[fold], again.weights[fold], atol=1e-6)
        assert not np.allclose(model.weights[1 - fold], again.weights[1 - fold], atol=1e-3)

    def test_with_few_queries_all_judges_have_the_same_weight(self):
        sample, _ = world(queries=FEWEST_QUERIES - 1)
        model = Relevance.learn(sample)
        assert not model.fitted
        assert len(set(model.weights[0][1:].tolist())) == 1
        assert Relevance.learn(world(queries=FEWEST_QUERIES)[0]).fitted

    def test_many_positives_of_few_queries_teach_nothing(self):
        sample, _ = world(queries=2)
        sample.is_positive[:] = np.arange(len(sample.query)) % 41 < 12
        sample.candidate &= ~sample.is_positive
        model = Relevance.learn(sample)
        assert (model.positives, model.fitted) == (24, False)

    def test_without_a_candidate_there_is_nothing_to_divide_by(self):
        sample, _ = world(queries=30, candidates=1)
        sample.candidate[:] = False
        model = Relevance.learn(sample)
        assert (model.fitted, model.shift) == (False, 0.0)

    @pytest.mark.parametrize("queries", [5, 300])
    def test_the_level_of_relevance_makes_its_mean_factor_one(self, queries):
        sample, _ = world(queries=queries)
        relevance = Relevance.learn(sample).estimate(sample).relevance[sample.candidate]
        assert np.exp(relevance).mean() == pytest.approx(1, abs=1e-3)

    def test_it_is_read_back_as_it_was_written(self):
        sample, _ = world(queries=50)
        model = Relevance.learn(sample)
        again = Relevance.model_validate_json(model.model_dump_json())
        assert (
            again.estimate(sample).relevance.tolist() == model.estimate(sample).relevance.tolist()
        )


class TestDepth:
    def test_the_mean_rank_is_as_deep_as_asked_and_no_choice_of_that_depth_is_surer(self):
        rng = np.random.default_rng(7)
        query = np.repeat(np.arange(200), 50)
        rank = np.tile(np.arange(50.0), 200)
        relevance = rng.normal(2 - rank / 10, 1.0)
        free = rng.random(len(query)) < 0.9
        for depth in (6.0, 12.0, 20.0):
            price = price_of_depth(query, free, free, relevance, rank, 5, depth)
            chosen = choose(query, free, cost(relevance) + price * rank, np.full(200, 5))
            assert rank[chosen].mean() == pytest.approx(depth, abs=0.2)
            for start in range(30):
                other = choose(query, free & (rank >= start), rank, np.full(200, 5))
                if rank[other].mean() <= rank[chosen].mean():
                    assert cost(relevance)[chosen].sum() <= cost(relevance)[other].sum()

    def test_depth_costs_nothing_where_the_surest_are_shallow_enough(self):
        query, rank = np.repeat(np.arange(3), 4), np.tile(np.arange(4.0), 3)
        free = np.ones(12, dtype=bool)
        assert price_of_depth(query, free, free, -rank, rank, 2, 20.0) == 0.0
        assert price_of_depth(query, ~free, free, -rank, rank, 2, 0.0) == 0.0

    def test_where_the_rules_leave_no_near_ones_the_nearest_are_not_taken_whatever_their_risk(self):
        rng = np.random.default_rng(3)
        query, rank = np.repeat(np.arange(100), 60), np.tile(np.arange(60.0), 100)
        relevance = rng.normal(2 - rank / 10, 1.0)
        every, far = np.ones(len(query), dtype=bool), rank >= 25
        n = np.full(100, 5)
        price = price_of_depth(query, far, every, relevance, rank, 5, 20.0)
        chosen = choose(query, far, cost(relevance) + price * rank, n)
        nearest = choose(query, far, rank, n)
        assert rank[nearest].mean() == 27.0
        assert price == price_of_depth(query, every, every, relevance, rank, 5, 20.0) < 1
        assert cost(relevance)[chosen].mean() < 0.7 * cost(relevance)[nearest].mean()


def clustered(rng, rows=60, queries=3, dimension=16):
    """Rows of a few queries with unit vectors, some of them candidates."""
    query = np.sort(rng.integers(0, queries, rows))
    query = np.unique(query, return_inverse=True)[1].astype(np.int64)
    vectors = rng.normal(size=(rows, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return query, rng.random(rows) < 0.8, rng.normal(size=rows), vectors


class TestNeighbours:
    @PROPERTY
    @given(st.integers(0, 10**6), st.integers(0, 40))
    def test_they_are_the_weighted_mean_of_the_other_candidates(self, seed, rows):
        query, among, values, vectors = clustered(np.random.default_rng(seed), rows)
        found = neighbour_means(values, query, among, np.arange(rows), vectors.__getitem__)
        for row in range(rows):
            pool = [n for n in range(rows) if query[n] == query[row] and among[n]]
            centre = np.mean(values[pool]) if pool else 0.0
            others = [n for n in pool if n != row]
            weight = {n: np.exp((float(vectors[n] @ vectors[row]) - 1) / 0.2) for n in others}
            total = sum(weight[n] * (values[n] - centre) for n in others)
            assert found[row] == pytest.approx(total / (sum(weight.values()) + 0.3), abs=5e-3)

    @PROPERTY
    @given(st.integers(0, 10**6))
    def test_the_order_of_rows_makes_no_difference(self, seed):
        rng = np.random.default_rng(seed)
        query, among, values, vectors = clustered(rng)
        order = np.lexsort((rng.random(len(query)), query))
        one = neighbour_means(values, query, among, np.arange(60), vectors.__getitem__)
        other = neighbour_means(values[order], query, among[order], order, vectors.__getitem__)
        assert other == pytest.approx(one[order], abs=1e-9)

    def test_blocks_and_threads_change_no_bit(self, monkeypatch):
        query, among, values, vectors = clustered(np.random.default_rng(1), rows=400, queries=9)

        def means():
            rows = np.arange(400)
            return neighbour_means(values, query, among, rows, vectors.__getitem__).tobytes()

        one = means()
        monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", 7)
        monkeypatch.setattr(neighbours, "PAIRS_AT_ONCE", 50)
        assert means() == one

    def test_with_equal_values_no_neighbour_says_anything(self):
        query, among, values, vectors = clustered(np.random.default_rng(2))
        rows = np.arange(60)
        means = neighbour_means(values * 0 + 3, query, among, rows, vectors.__getitem__)
        assert np.abs(means).max() < 1e-12


def near_positive(queries=120, seed=3):
    """Candidates of which those around a common direction are relevant, as the positive is."""
    sample, truth = world(queries, separation=1.0, relevant=0.15, seed=seed)
    rng = np.random.default_rng(seed)
    topic = rng.normal(size=(queries, 24))[sample.query] * truth[:, None]
    vectors = (topic + 0.8 * rng.normal(size=topic.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sample.directions, sample._doc_rows = vectors.__getitem__, np.arange(len(truth))
    return sample, truth


class TestOrder:
    def auc(self, sample, truth, relevance):
        rows = sample.candidate
        order, relevant = np.argsort(np.argsort(relevance[rows])), truth[rows]
        return (order[relevant].mean() - order[~relevant].mean()) / rows.sum() + 0.5

    def test_neighbours_order_better_where_relevant_documents_resemble_each_other(self):
        sample, truth = near_positive()
        after = Relevance.learn(sample)
        with_them = self.auc(sample, truth, after.estimate(sample).evidence)
        sample.directions = None
        without = Relevance.learn(sample)
        assert NEIGHBOURS in after.judges and NEIGHBOURS not in without.judges
        assert with_them > self.auc(sample, truth, without.estimate(sample).evidence) + 0.03

    def test_neighbours_get_next_to_no_weight_where_resemblance_says_nothing(self):
        sample, _ = near_positive()
        rng = np.random.default_rng(4)
        vectors = rng.normal(size=(len(sample.query), 24)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        sample.directions = vectors.__getitem__
        judges = Relevance.learn(sample).judges
        weight = {name: np.mean(v.among_all + v.within_query) for name, v in judges.items()}
        assert weight[NEIGHBOURS] < 0.2 * weight["one"]

    def test_a_judge_that_knows_nothing_changes_the_order_little(self):
        sample, truth = near_positive()
        before = self.auc(sample, truth, Relevance.learn(sample).estimate(sample).relevance)
        sample.scores["noise"] = np.random.default_rng(5).normal(size=len(truth))
        after = self.auc(sample, truth, Relevance.learn(sample).estimate(sample).relevance)
        assert abs(after - before) < 0.02

    def test_candidates_of_a_query_with_a_weak_positive_are_more_doubtful(self):
        sample, _ = world(queries=60)
        own = sample.query == 7
        sample.scores["one"] = np.where(own & sample.is_positive, -9.0, sample.scores["one"])
        model = Relevance.learn(sample)
        estimates = model.estimate(sample)
        level = estimates.evidence[own & sample.is_positive][0] - model.usual_level
        rows = own & sample.candidate
        moved = estimates.relevance[rows] - estimates.evidence[rows]
        assert level < -1
        assert moved == pytest.approx(np.full(rows.sum(), model.shift - 0.25 * level))

    def test_a_query_without_a_positive_keeps_its_level(self):
        sample, _ = world(queries=60)
        sample.is_positive &= sample.query != 7
        model = Relevance.learn(sample)
        estimates = model.estimate(sample)
        moved = (estimates.relevance - estimates.evidence)[(sample.query == 7) & sample.candidate]
        assert moved == pytest.approx(np.full(len(moved), model.shift))

    def test_a_model_of_an_earlier_version_orders_as_it_did(self):
        sample, _ = near_positive()
        values = Relevance.learn(sample).model_dump()
        del values["level"], values["usual_level"], values["judges"][NEIGHBOURS]
        del values["positive_similarity"]["within_query"]
        old = Relevance.model_validate(values)
        estimates = old.estimate(sample)
        assert estimates.relevance == pytest.approx(estimates.evidence + old.shift)
