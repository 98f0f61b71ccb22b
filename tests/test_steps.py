"""What expressions do in `filter`: derived columns, rules, relabelling, choices."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from test_filters import simple, table_of

from hnmine.config import FilterSettings
from hnmine.errors import InputError, UsageError
from hnmine.exports import EXPORTS
from hnmine.exports.training_rows import Chosen
from hnmine.selection.criteria import criteria
from hnmine.selection.verdicts import Verdicts
from hnmine.selection.writing import counts_of, shortfall_of


def judged(*queries, **given):
    """Verdicts on `(positives' scores, candidates' scores)`, compared without a margin."""
    values = {"candidates": "c", "output": "o", "score": "dense", **given}
    return Verdicts(simple(*queries), *criteria(FilterSettings.parse(values)))


def chosen(verdicts):
    return verdicts.scored().filter(verdicts.selected)["dense_score"].to_pylist()


ONE = ([0.5], [0.9, 0.75, 0.4, 0.3, 0.2, 0.1])


class TestRules:
    def test_where_keeps_what_it_is_true_for_and_is_the_reason_itself(self):
        verdicts = judged(ONE, where=["score < pos(score) - 0.05*abs(pos(score))", "rank < 4"])
        assert verdicts.reason[1:].tolist() == [
            "score < pos(score) - 0.05*abs(pos(score))",
            "score < pos(score) - 0.05*abs(pos(score))",
            "",
            "",
            "rank < 4",
            "rank < 4",
        ]
        assert counts_of(verdicts)["dropped_rank < 4"] == 2

    def test_the_flag_and_its_expression_drop_the_same(self):
        for flag, text in (
            ({"margin": 0.125}, "score <= pos(score) - 0.125"),
            ({"relative_margin": 0.25}, "score <= pos(score) - abs(pos(score)) * 0.25"),
            ({"max_score": 0.75}, "score <= 0.75"),
            ({"min_score": 0.25}, "score >= 0.25"),
            ({"range_min": 1, "range_max": 3, "num_negatives": 1}, "rank between 1 and 2"),
        ):
            by_flag, by_text = judged(ONE, **flag), judged(ONE, where=[text])
            assert by_flag.keep.tolist() == by_text.keep.tolist()
            assert not by_flag.keep[1:].all()

    def test_what_is_unknown_is_not_kept(self):
        assert not judged(ONE, where=["bm25_score < 3"]).keep.any()
        assert judged(ONE, where=["bm25_score is null"]).keep.any()

    def test_rules_look_at_all_candidates_and_choices_at_the_survivors(self):
        verdicts = judged(ONE, margin=0.0, where=["rank(score) < 3"])
        assert chosen(verdicts) == pytest.approx([0.4])
        verdicts = judged(ONE, margin=0.0, within="rank(score) < 3", num_negatives=9)
        assert chosen(verdicts) == pytest.approx([0.4, 0.3, 0.2])

    def test_functions_of_the_query_count_neither_its_positives_nor_itself(self):
        rows = [(0.5, "+", None), (0.9, "?", 0.0), (0.25, "-", 0.0), (0.125, "-", 0.0)]
        given = {"where": ["rank(score) < 1"], "derive": {"mean": "avg(score)"}}
        values = {"candidates": "c", "output": "o", "score": "dense", **given}
        verdicts = Verdicts(table_of([rows]), *criteria(FilterSettings.parse(values)))
        assert verdicts.reason.tolist() == ["positive", "query", "", "rank(score) < 1"]
        assert set(verdicts.scored()["mean"].to_pylist()) == {0.1875}

    def test_derived_columns_may_use_each_other_and_are_written(self):
        derive = {"gap": "pos(score) - score", "close": "gap < 0.25"}
        verdicts = judged(ONE, derive=derive, where=["not close"], margin=0.0)
        table = verdicts.scored()
        assert table["gap"].to_pylist() == pytest.approx([0, -0.4, -0.25, 0.1, 0.2, 0.3, 0.4])
        assert chosen(verdicts) == pytest.approx([0.2, 0.1])

    def test_any_expression_may_be_the_score(self):
        verdicts = judged(ONE, score="-dense_score", margin=0.0)
        assert chosen(verdicts) == pytest.approx([0.9, 0.75])

    @pytest.mark.parametrize(
        "given",
        [
            {"where": ["rnk < 3"]},
            {"where": ["rank + 3"]},
            {"derive": {"x": "rank <"}},
            {"sampling": "tpo"},
            {"order": "nothing"},
            {"within": "1"},
            {"strata": "nothing"},
            {"quota": {"1": 2}},
            {"per_query": "nothing"},
            {"weight": "nothing"},
            {"relabel": "score"},
        ],
    )
    def test_a_wrong_expression_is_refused_before_there_is_any_row(self, given):
        values = {"candidates": "c", "output": "o", "score": "dense", **given}
        with pytest.raises(UsageError):
            Verdicts(simple(ONE).slice(0, 0), *criteria(FilterSettings.parse(values))).scored()


class TestRelabel:
    def test_what_the_rule_names_becomes_a_positive_and_not_a_negative(self):
        verdicts = judged(ONE, relabel="score > pos(score) + 0.3", margin=0.0)
        scored = verdicts.scored()
        assert scored["label"].to_pylist() == [1, 1, None, 0, 0, 0, 0]
        assert scored["reason"].to_pylist()[1:3] == ["relabelled", "margin"]
        assert counts_of(verdicts)["dropped_relabelled"] == 1

    def test_neither_a_known_positive_nor_the_query_itself_is_relabelled(self):
        rows = [(0.5, "+", None), (0.9, "?", 0.0), (0.75, "-", 0.0), (0.125, "-", 0.0)]
        values = {"candidates": "c", "output": "o", "score": "dense", "relabel": "score > 0.25"}
        scored = Verdicts(table_of([rows]), *criteria(FilterSettings.parse(values))).scored()
        assert scored["reason"].to_pylist() == ["positive", "query", "relabelled", None]
        assert scored["label"].to_pylist() == [1, None, 1, 0]

    def test_the_anchor_stays_that_of_the_known_positives(self):
        verdicts = judged(ONE, relabel="score between 0.15 and 0.25", margin=0.0)
        assert set(verdicts.scored()["positive_score"].to_pylist()) == {0.5}


MANY = ([1.0], [0.9 - 0.02 * n for n in range(40)])


class TestChoice:
    def test_order_says_which_come_first(self):
        assert chosen(judged(ONE, order="score", num_negatives=2)) == pytest.approx([0.2, 0.1])
        assert chosen(judged(ONE, order="-score", num_negatives=2)) == pytest.approx([0.9, 0.75])

    def test_weights_draw_by_chance_and_the_same_each_time(self):
        picks = [chosen(judged(MANY, sampling="exp(5 * score)", seed=seed)) for seed in (1, 1, 2)]
        assert picks[0] == picks[1] != picks[2]
        near = [
            np.mean(chosen(judged(MANY, sampling=f"exp({beta} * score)", seed=seed)))
            for beta in (0, 5, 1e6)
            for seed in range(20)
        ]
        means = np.mean(np.reshape(near, (3, 20)), axis=1)
        assert means[0] < means[1] < means[2] == pytest.approx(np.mean(MANY[1][:5]))

    def test_weight_one_for_all_is_the_random_choice(self):
        by_weight = judged(MANY, sampling="1", seed=3)
        at_random = judged(MANY, sampling="random", seed=3)
        assert by_weight.selected.tolist() == at_random.selected.tolist()

    def test_what_has_no_weight_is_chosen_last(self):
        weight = "case when rank < 2 then 1 else 0 end"
        assert set(
            judged(ONE, sampling=weight, num_negatives=2)
            .table["rank"]
            .filter(judged(ONE, sampling=weight, num_negatives=2).selected)
            .to_pylist()
        ) == {0, 1}

    @pytest.mark.parametrize("weight", ["-1", "score - 0.5", "bm25_score"])
    def test_a_negative_or_unknown_weight_is_refused(self, weight):
        with pytest.raises(InputError, match="no weight"):
            judged(ONE, sampling=weight).scored()
        with pytest.raises(InputError, match="no weight"):
            judged(ONE, weight=weight).scored()

    def test_strata_are_chosen_from_in_turn(self):
        verdicts = judged(ONE, strata="score > 0.5", order="-score", num_negatives=4)
        assert sorted(chosen(verdicts)) == pytest.approx([0.3, 0.4, 0.75, 0.9])

    def test_quotas_are_kept_and_replace_the_number(self):
        quota = {"score > 0.35": 1, "score < 0.25": 2, "score > 0.95": 3}
        verdicts = judged(ONE, quota=quota)
        assert chosen(verdicts) == pytest.approx([0.9, 0.2, 0.1])
        assert counts_of(verdicts)["negatives_asked"] == 6
        assert shortfall_of(verdicts)["asked"].to_pylist() == [6]

    def test_a_candidate_counts_for_one_quota_only(self):
        verdicts = judged(ONE, quota={"rank < 2": 2, "rank < 3": 1})
        assert chosen(verdicts) == pytest.approx([0.9, 0.75, 0.4])

    def test_the_number_is_each_querys_own(self):
        other = ([0.5], [0.4, 0.3, 0.2, 0.1])
        verdicts = judged(ONE, other, per_query="count(*) - 3", num_negatives=4)
        assert verdicts.asked.tolist() == [3, 1]
        assert counts_of(verdicts)["negatives"] == 4

    @pytest.mark.parametrize(
        ("per_query", "asked"),
        [
            *(("0.4", 0), ("0.6", 1), ("1.4", 1), ("1.6", 2), ("count(*) / 2.2", 3)),
            *(("-1.7", 0), ("4.6", 4), ("null::double", 0)),
        ],
    )
    def test_the_number_is_rounded_and_neither_negative_nor_above_the_number(
        self, per_query, asked
    ):
        assert judged(ONE, per_query=per_query, num_negatives=4).asked.tolist() == [asked]

    def test_weights_are_written_for_what_was_chosen(self):
        verdicts = judged(ONE, weight="score / sum(score)", num_negatives=2)
        assert verdicts.scored()["weight"].to_pylist() == [
            None,
            pytest.approx(0.9 / 1.65),
            pytest.approx(0.75 / 1.65),
            *[None] * 4,
        ]


class TestQueries:
    TWO = (ONE, ([0.5], [0.45, 0.2]))

    def test_a_query_is_used_only_if_the_expression_is_true(self):
        verdicts = judged(
            *self.TWO,
            relabel="score > pos(score)",
            query_where="count(*) filter (where reason = 'relabelled') <= 1",
        )
        used = verdicts.query == 1
        assert not verdicts.selected[~used].any()
        assert not verdicts.serves_as_positive[~used].any()
        assert verdicts.selected[used].sum() == 2
        counts = counts_of(verdicts)
        assert counts["queries_not_used"] == 1
        assert counts["negatives_missing"] == 5 - 2
        assert shortfall_of(verdicts)["query_id"].to_pylist() == ["q 1"]

    def test_it_may_be_about_what_was_chosen(self):
        # EL2N (Paul et al., NeurIPS 2021): the error of softmax over the positive and negatives.
        easy, hard = ([0.9], [0.1, 0.0]), ([0.5], [0.48, 0.4])
        e = "exp((score - pos(score)) / 0.1)"
        mass = f"sum({e}) filter (where selected)"
        squares = f"sum(power({e}, 2)) filter (where selected)"
        el2n = f"sqrt(power({mass}, 2) + {squares}) / (1 + {mass})"
        margin = {"margin": 0.0, "query_where": f"{el2n} >= 0.5"}
        assert judged(easy, hard, **margin).selected.tolist() == [False] * 4 + [True] * 2
        p = np.exp(np.array([0.5, 0.48, 0.4]) / 0.1)
        p /= p.sum()
        by_hand = float(np.linalg.norm(p - [1, 0, 0]))
        for cut, kept in ((by_hand - 1e-6, 2), (by_hand + 1e-6, 0)):
            margin["query_where"] = f"{el2n} >= {cut!r}"
            assert judged(hard, **margin).selected.sum() == kept


class TestTrainColumns:
    @pytest.mark.parametrize(
        ("layout", "expected"),
        [
            ("triplet", [2.0, 3.0]),
            ("n-tuple", [[2.0, 3.0]]),
            ("labeled-pair", [1.0, 2.0, 3.0]),
            ("labeled-list", [[1.0, 2.0, 3.0]]),
        ],
    )
    def test_they_stand_beside_the_negatives(self, layout, expected):
        verdicts = judged(
            ONE,
            margin=0.0,
            num_negatives=2,
            weight="rank(score) + 2",
            format=layout,
            train_column=["weight=weight"],
        )
        found = verdicts.for_training["weight"].to_pylist()
        assert found[:5] == [1.0, None, None, 2.0, 3.0]  # A positive counts once.
        rows = np.array([0, 3, 4])
        chosen = Chosen(
            pa.array(["q"]),
            pa.array(["p", "n1", "n2"]),
            np.zeros(3),
            np.array([0]),
            np.array([0, 1]),
            np.array([1, 2]),
            np.array([0, 2]),
            {"weight": verdicts.for_training["weight"].take(pa.array(rows))},
        )
        table = EXPORTS[layout].load().layout(chosen, 2, False)
        assert table["weight"].to_pylist() == expected

    @pytest.mark.parametrize("name", ["query", "negative_3", "scores"])
    def test_those_of_the_layout_are_refused(self, name):
        with pytest.raises(UsageError, match=f"{name} is a column name of train/"):
            judged(ONE, train_column=[f"{name}=1"])
