"""Promises of the rules and the choice that only exact examples show."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from conftest import mined_by_words, rows, write
from test_filters import simple
from test_steps import ONE, judged

import hnmine as api
from hnmine.choose import choose, grouped, race
from hnmine.config import FilterSettings
from hnmine.errors import InputError, UsageError
from hnmine.keyed_noise import keyed_noise
from hnmine.relevance.depth_price import cost, price_of_depth
from hnmine.selection.criteria import criteria
from hnmine.selection.document_cap import DocumentCap, DocumentUses
from hnmine.selection.rules import BELOW_THE_POSITIVE, KEPT, by_text
from hnmine.selection.rules import reasons as reasons_by
from hnmine.selection.verdicts import Verdicts
from hnmine.selection.writing import shortfall_of


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
        # NumPy's default sort is stable for short arrays only.
        query = np.random.default_rng(0).integers(0, 3, 5000)
        chosen = choose(query, np.ones(5000, bool), np.zeros(5000), np.array([40, 1, 300]))
        for number, n in enumerate((40, 1, 300)):
            own = np.flatnonzero(query == number)
            assert np.flatnonzero(chosen & (query == number)).tolist() == own[:n].tolist()

    def test_a_query_without_survivors_has_an_empty_list(self):
        found, offsets = grouped(np.array([2, 0, 2, 3]), np.array([True, True, True, False]), 5)
        assert found.tolist() == [1, 0, 2]
        assert offsets.tolist() == [0, 1, 1, 3, 3, 3]


def test_the_cost_is_minus_the_log_of_the_chance_that_a_negative_is_right():
    wrong = np.array([0.001, 0.3, 0.5, 0.99])
    assert np.exp(-cost(np.log(wrong / (1 - wrong)))) == pytest.approx(1 - wrong)


def test_depth_of_nothing_costs_nothing():
    nothing = np.zeros(0)
    price = price_of_depth(
        nothing.astype(int), *[nothing.astype(bool)] * 2, nothing, nothing, 5, 1.0
    )
    assert price == 0.0


class TestRules:
    def test_what_scores_as_high_as_the_positive_is_not_below_it(self):
        found = reasons_by(simple(([0.5], [0.5, 0.4])), {"guide": BELOW_THE_POSITIVE})
        assert found.tolist() == ["guide", "guide", KEPT]

    def test_a_rule_of_the_users_never_passes_for_one_of_ours(self):
        found = dict(by_text(["rank < 2", "margin", "relabelled"]))
        assert found == {"rank < 2": "rank < 2", "(margin)": "margin", "(relabelled)": "relabelled"}

    def test_an_unknown_near_copy_drops_nothing(self):
        table = simple(([0.5], [0.25, 0.125]))
        settings = FilterSettings.parse({"candidates": "c", "output": "o", "score": "dense"})
        at = table.column_names.index("near_copy")
        nothing = pa.nulls(3, table["near_copy"].type)
        table = table.set_column(at, table.schema.field("near_copy"), nothing)
        found = Verdicts(table, *criteria(settings)).reason
        assert found.tolist() == ["positive", KEPT, KEPT]

    def test_compat_keeps_what_has_the_positives_score(self):
        other = ([0.5], [0.5, 0.25])
        assert judged(other).reason[1:].tolist() == ["same-score", KEPT]
        compat = judged(other, compat="sentence-transformers")
        assert compat.reason[1:].tolist() == [KEPT, KEPT]

    def test_a_judge_that_gives_one_half_or_more_drops_and_an_unknown_verdict_does_not(self):
        table = simple(([0.5], [0.4, 0.3, 0.2, 0.1]))
        verdicts = pa.array([1.0, 0.5, 0.4999, None, 0.75])
        settings = FilterSettings.parse({"candidates": "c", "output": "o", "score": "dense"})
        found = Verdicts(table.append_column("verdict", verdicts), *criteria(settings)).reason
        assert found.tolist() == ["positive", "verdict", KEPT, KEPT, "verdict"]

    def test_the_rules_that_were_learned_come_after_those_of_the_settings(self):
        table = simple(([0.5], [0.9, 0.4, 0.3]))
        settings = FilterSettings.parse(
            {"candidates": "c", "output": "o", "score": "dense", "margin": 0.0}
        )
        rules, choice = criteria(settings)
        learned = replace(rules, expressions=(*rules.expressions, ("learned", "rank <> 2")))
        found = Verdicts(table, learned, choice).reason
        assert found.tolist() == ["positive", "margin", KEPT, "learned"]

    def test_a_used_up_document_is_not_chosen_and_keeps_an_earlier_reason(self):
        table = simple(([0.5], [0.9, 0.4, 0.3]))
        settings = FilterSettings.parse(
            {"candidates": "c", "output": "o", "score": "dense", "margin": 0.0}
        )
        over = np.array([True, True, True, False])
        found = Verdicts(table, *criteria(settings), over_cap=over)
        assert found.reason.tolist() == ["positive", "margin", "max-uses", KEPT]
        assert found.selected.tolist() == [False, False, False, True]

    def test_a_derived_column_never_replaces_another(self):
        table = simple(ONE)
        table = table.append_column("run_x_score", pa.array(np.zeros(len(table))))
        settings = FilterSettings.parse(
            {"candidates": "c", "output": "o", "score": "dense", "derive": {"run_x_score": "1"}}
        )
        with pytest.raises(UsageError, match="run_x_score"):
            Verdicts(table, *criteria(settings))

    def test_one_query_never_counts_for_another(self):
        verdicts = judged(([0.5], [0.4]), ([0.1], [0.4]), ([0.9], [0.4, 0.3]), margin=0.0)
        assert verdicts.query.tolist() == [0, 0, 1, 1, 2, 2, 2]
        assert verdicts.first_rows.tolist() == [0, 2, 4]
        anchors = verdicts.table["positive_score"].to_pylist()
        assert anchors == pytest.approx([0.5, 0.5, 0.1, 0.1, 0.9, 0.9, 0.9])
        assert verdicts.chosen_counts.tolist() == [1, 0, 2]


class TestChoice:
    def test_what_has_no_order_is_chosen_last(self):
        order = "case when rank = 0 then null when rank = 1 then 'nan'::double else -rank end"
        verdicts = judged(ONE, order=order, num_negatives=5)
        assert np.flatnonzero(verdicts.selected).tolist() == [1, 3, 4, 5, 6]
        assert verdicts.scored()["place"].to_pylist() == [None, 4, None, 3, 2, 1, 0]

    def test_an_unknown_stratum_is_one_of_its_own(self):
        verdicts = judged(ONE, strata="case when rank < 5 then rank // 5 end", num_negatives=2)
        assert verdicts.selected.tolist() == [False, True, *[False] * 4, True]

    def test_a_weight_of_zero_is_one_and_infinity_is_none(self):
        verdicts = judged(ONE, weight="rank", num_negatives=2)
        assert verdicts.scored()["weight"].to_pylist() == [None, 0.0, 1.0, *[None] * 4]
        with pytest.raises(InputError, match="no weight"):
            judged(ONE, weight="'inf'::double").scored()

    def test_the_weight_of_what_is_not_chosen_may_be_anything(self):
        weight = "case when rank < 2 then 1 else -1 end"
        verdicts = judged(ONE, weight=weight, num_negatives=2)
        assert verdicts.scored()["weight"].to_pylist() == [None, 1.0, 1.0, *[None] * 4]

    def test_what_a_rule_drops_needs_no_weight_in_the_draw(self):
        weight = "case when rank < 1 then null else 1 end"
        with pytest.raises(InputError, match="no weight"):
            judged(ONE, sampling=weight).scored()
        verdicts = judged(ONE, sampling=weight, margin=0.0, num_negatives=9)
        assert verdicts.selected.tolist() == [False] * 3 + [True] * 4

    def test_columns_for_training_see_the_choice_and_its_weights(self):
        train = {"n": "count(*)", "share": "weight / sum(weight)", "taken": "selected"}
        verdicts = judged(ONE, train_column=train, weight="rank + 1", num_negatives=2)
        found = {name: column.to_pylist() for name, column in verdicts.for_training.items()}
        assert set(found["n"]) == {2}
        assert found["share"] == [
            pytest.approx(1 / 3),
            pytest.approx(1 / 3),
            pytest.approx(2 / 3),
            *[None] * 4,
        ]
        assert found["taken"] == [False, True, True, *[False] * 4]
        assert judged(ONE).for_training == {}

    def test_a_query_that_got_all_that_it_asked_for_is_not_short(self):
        verdicts = judged(ONE, ([0.5], [0.4]), ([0.5], []), num_negatives=2)
        assert verdicts.short_queries.tolist() == [1, 2]
        short = shortfall_of(verdicts).to_pylist()
        assert [(row["query_id"], row["found"]) for row in short] == [("q 1", 1), ("q 2", 0)]

    def test_uses_name_the_chosen_pairs_and_no_others(self):
        verdicts = judged(ONE, ([0.5], [0.6, 0.4]), margin=0.0, num_negatives=2)
        uses = verdicts.uses
        query, document, noise = uses.query, uses.document, uses.noise
        assert list(zip(query.tolist(), document.tolist(), strict=True)) == [(0, 3), (0, 4), (1, 2)]
        assert (
            noise.tolist() == keyed_noise(0, ["q 0", "q 0", "q 1"], ["d 3", "d 4", "d 2"]).tolist()
        )


def lazily(logits, **given):
    """Verdicts under --lazy on queries of one positive, the last of each; None: not scored yet."""
    table = simple(*(([1.0], [0.5] * (len(query) - 1)) for query in logits))
    flat = [value for *others, positive in logits for value in (positive, *others)]
    flags = {"candidates": "c", "output": "o", "cross_encoder": "x", "lazy": True, "margin": 3.0}
    settings = FilterSettings.parse({**flags, **given}).model_copy(update={"score": "ce"})
    column = pa.array(flat, pa.float32())
    return Verdicts(table.append_column("ce_score", column), *criteria(settings))


class TestLazy:
    """What is scored next: rows by number, where each query begins with its positive."""

    def test_first_the_positive_and_as_many_as_are_asked_for(self):
        assert lazily([[None] * 9], num_negatives=3).to_score.tolist() == [0, 1, 2, 3]

    def test_then_what_should_yield_the_rest_by_the_share_that_survived(self):
        # None of two survived: (0 + 2) / (2 + 2) of those ahead may, so four for two.
        half = [[9.0, 9.0, *[None] * 8, 9.0]]
        assert lazily(half, num_negatives=2).to_score.tolist() == [3, 4, 5, 6]
        # One of two survived: (1 + 2) / (2 + 2) may, so two for the one that is missing.
        some = [[9.0, 1.0, *[None] * 8, 9.0]]
        assert lazily(some, num_negatives=2).to_score.tolist() == [3, 4]

    def test_nothing_where_the_best_ranked_are_known(self):
        full = [[1.0, 1.0, 1.0, None, None, 9.0]]
        assert lazily(full, num_negatives=2).to_score.tolist() == []
        # What an earlier choice scored further down does not stand in for a better rank.
        gap = [[None, 1.0, 1.0, 1.0, 9.0]]
        assert lazily(gap, num_negatives=2).to_score.tolist() == [1]
        second = [[1.0, None, 1.0, 1.0, 9.0]]
        assert lazily(second, num_negatives=2).to_score.tolist() == [2]

    def test_no_positive_of_a_query_that_asks_for_nothing(self):
        verdicts = lazily([[None, None], [None]], num_negatives=1)
        assert verdicts.to_score.tolist() == [0, 1]
        ruled_out = lazily([[None, None]], num_negatives=1, where=["rank > 0"])
        assert ruled_out.to_score.tolist() == []
        assert ruled_out.reason.tolist() == ["positive", "rank > 0"]

    def test_a_score_is_of_no_use_without_that_of_the_positive(self):
        verdicts = lazily([[1.0, 1.0, None]], num_negatives=1)
        assert verdicts.reason.tolist() == ["positive", "not-scored", "not-scored"]
        assert verdicts.to_score.tolist() == [0]

    def test_what_is_no_number_counts_as_scored(self):
        verdicts = lazily([[math.nan, 1.0, 9.0]], num_negatives=1)
        assert verdicts.reason.tolist() == ["positive", "not-finite", KEPT]
        assert verdicts.to_score.tolist() == []


class TestUses:
    USES: ClassVar = {"query": [0, 5], "slot": [0, 2], "noise": [0, 2**64 - 1]}

    def read(self, tmp_path, *files, slots=3):
        paths = [tmp_path / f"{n}.npz" for n in range(len(files))]
        for path, uses in zip(paths, files, strict=True):
            dtypes = DocumentUses.FIELDS.items()
            np.savez(path, **{name: np.array(uses[name], dtype) for name, dtype in dtypes})
        return DocumentUses.read(paths, slots)

    def test_files_are_read_in_their_order(self, tmp_path):
        later = {"query": [1], "slot": [1], "noise": [7]}
        found = self.read(tmp_path, self.USES, later)
        assert found.query.tolist() == [0, 5, 1]
        assert found.document.tolist() == [0, 2, 1]
        assert found.noise.tolist() == [0, 2**64 - 1, 7]

    @pytest.mark.parametrize("wrong", [{"query": [-1, 0]}, {"slot": [0, -1]}, {"slot": [0, 3]}])
    def test_what_names_no_query_or_document_is_damage(self, tmp_path, wrong):
        with pytest.raises(InputError, match="damaged"):
            self.read(tmp_path, {**self.USES, **wrong})

    def test_before_the_first_choice_every_document_is_free(self):
        query, slot = np.array([0, 1]), np.array([1, 0])
        assert DocumentCap.start(2).over(query, slot).tolist() == [False, False]
        assert DocumentCap.start(2).close().over(query, slot).tolist() == [True, True]

    def test_pairs_of_different_queries_and_documents_are_never_one(self):
        noise = np.array([1], np.uint64)
        cap, _ = DocumentCap.start(3).grant(DocumentUses(np.array([1]), np.array([0]), noise), 1)
        assert cap.over(np.array([1, 0, 2]), np.array([0, 0, 0])).tolist() == [*(False, True, True)]


def test_what_is_trained_on_is_what_was_chosen_the_best_first(tmp_path):
    texts = [f"word{n} common{n % 3} text" + " more" * n for n in range(12)]
    write(tmp_path / "corpus.parquet", id=[f"d{n}" for n in range(12)], text=texts)
    write(
        tmp_path / "pairs.parquet",
        query_id=["q0", "q0", "q1", "q2"],
        query=["common0 word1", "common0 word1", "common1", "common2 text"],
        positive=[texts[0], texts[3], texts[1], texts[2]],
    )
    candidates = mined_by_words(tmp_path, tmp_path, top_k=8)
    found = api.filter(
        candidates=candidates,
        output=tmp_path / "m",
        num_negatives=2,
        order="-rank",
        near_copy=2.0,
        where=["query_id <> 'q2'", "bm25_score > 0", "query_id <> 'q1' or rank = 1"],
        output_scores=True,
        train_column={"chosen_id": "doc_id"},
    )
    by_id = {f"d{n}": text for n, text in enumerate(texts)}
    scored = rows(tmp_path / "m" / "scored")
    queries = {"q0": "common0 word1", "q1": "common1", "q2": "common2 text"}
    expected = []
    for query, text in queries.items():
        own = [row for row in scored if row["query_id"] == query]
        negatives = sorted((row for row in own if row["selected"]), key=lambda row: -row["rank"])
        assert [row["place"] for row in negatives] == list(range(len(negatives)))
        expected += [
            {
                "query": text,
                "positive": by_id[positive["doc_id"]],
                "negative": by_id[row["doc_id"]],
                "scores": [positive["score"], row["score"]],
                "chosen_id": row["doc_id"],
            }
            for positive in own
            if positive["label"] == 1
            for row in negatives
        ]
    assert rows(tmp_path / "m" / "train") == expected
    assert len(expected) == 2 * 2 + 1
    assert {"query_row", "doc_row"}.isdisjoint(scored[0])
    assert found.counts["negatives"] == 3
    short = rows(tmp_path / "m" / "shortfall.parquet")
    assert [(row["query_id"], row["asked"], row["found"]) for row in short] == [
        ("q1", 2, 1),
        ("q2", 2, 0),
    ]
