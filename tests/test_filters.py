from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine import schema
from hnmine.config import FilterSettings
from hnmine.selection.criteria import criteria
from hnmine.selection.rules import KEPT
from hnmine.selection.rules import reasons as reasons_by
from hnmine.selection.rules import rules as rules_of
from hnmine.selection.verdicts import Verdicts
from hnmine.selection.writing import counts_of, shortfall_of

PROPERTY = settings(max_examples=60, deadline=None)
NAN, INF = math.nan, math.inf


def rules(**given):
    return FilterSettings(candidates="candidates", output="mined", **{"score": "dense", **given})


def reasons(table, settings):
    return reasons_by(table, rules_of(settings))


def verdicts_of(table, logits, settings):
    if logits is not None:
        table = table.append_column(schema.judged("ce_score"), pa.array(logits))
    return Verdicts(table, *criteria(settings))


def block(scores, anchor=1.0, **columns):
    """Candidates of rank 0, 1, ... that are neither positives nor the query."""
    count = len(scores)
    default = {
        "rank": np.arange(count),
        "is_positive": np.zeros(count, dtype=bool),
        "is_query": np.zeros(count, dtype=bool),
        "near_copy": np.zeros(count, dtype=np.float32),
    }
    given = {name: np.array(values) for name, values in columns.items()}
    anchors = np.broadcast_to(np.array(anchor, dtype=np.float64), count)
    return pa.table(
        {"score": np.array(scores, dtype=np.float64), "positive_score": anchors, **default, **given}
    )


def kept(scores, anchor=1.0, **given):
    """The scores that come through."""
    found = reasons(block(scores, anchor), rules(**given))
    return [score for score, reason in zip(scores, found, strict=True) if reason == KEPT]


class TestOneRule:
    def test_no_rule_keeps_all_scores_but_the_positives_own(self):
        assert kept([5.0, 1.0, 0.5, -3.0]) == [5.0, 0.5, -3.0]

    @pytest.mark.parametrize(
        ("anchor", "margin", "expected"),
        [
            (1.0, 0.25, [0.75, 0.5, -1.0]),
            (1.0, 0.0, [0.75, 0.5, -1.0]),
            (0.75, 0.25, [0.5, -1.0]),
            (1.0, -1.0, [2.0, 1.5, 0.75, 0.5, -1.0]),
            (-0.5, 0.5, [-1.0]),
            (-4.0, 3.0, []),
        ],
    )
    def test_margin_keeps_what_is_at_most_the_positive_less_the_margin(
        self, anchor, margin, expected
    ):
        scores = [2.5, 2.0, 1.5, 1.0, 0.75, 0.5, -1.0]
        assert kept(scores, anchor, margin=margin) == expected

    @pytest.mark.parametrize(
        ("anchor", "margin", "expected"),
        [
            (1.0, 0.25, [0.75, 0.5, -1.0, -1.5]),
            (2.0, 0.25, [1.5, 1.0, 0.75, 0.5, -1.0, -1.5]),
            (-1.0, 0.5, [-1.5]),
            (-1.0, 0.25, [-1.5]),
            (-1.0, 0.0, [-1.5]),
            (0.0, 0.5, [-1.0, -1.5]),
            (1.0, 2.0, [-1.0, -1.5]),
        ],
    )
    def test_relative_margin_is_a_share_of_the_positives_size(self, anchor, margin, expected):
        scores = [1.5, 1.0, 0.75, 0.5, -1.0, -1.5]
        assert kept(scores, anchor, relative_margin=margin) == expected

    def test_both_margins_must_hold(self):
        scores = [3.5, 3.0, 2.0, 1.0]
        assert kept(scores, 4.0, margin=1.0, relative_margin=0.5) == [2.0, 1.0]
        assert kept(scores, 4.0, margin=3.0, relative_margin=0.25) == [1.0]

    def test_the_largest_and_the_smallest_score_allowed_are_kept(self):
        scores = [0.75, 0.5, 0.25, 0.0, -0.25]
        assert kept(scores, max_score=0.5) == [0.5, 0.25, 0.0, -0.25]
        assert kept(scores, min_score=0.0) == [0.75, 0.5, 0.25, 0.0]
        assert kept(scores, max_score=0.5, min_score=0.0) == [0.5, 0.25, 0.0]
        assert kept(scores, max_score=0.0) == [0.0, -0.25]

    @pytest.mark.parametrize(
        ("given", "ranks"),
        [
            ({"range_min": 2}, [2, 3, 4, 5]),
            ({"range_max": 2, "num_negatives": 1}, [0, 1]),
            ({"range_min": 1, "range_max": 4, "num_negatives": 1}, [1, 2, 3]),
            ({"range_min": 9}, []),
            ({}, [0, 1, 2, 3, 4, 5]),
        ],
    )
    def test_the_window_is_half_open(self, given, ranks):
        found = reasons(block([0.0] * 6), rules(**given))
        assert np.flatnonzero(found == KEPT).tolist() == ranks
        assert set(found.tolist()) <= {KEPT, "rank"}

    def test_near_copies_are_dropped_from_the_share_on_and_may_be_let_through(self):
        copies = block([0.5] * 4, near_copy=np.array([0, 0.5, 0.75, 1], dtype=np.float32))
        for limit, expected in ((0.75, 2), (0.5, 1), (1.0, 3), (1.5, 4)):
            found = reasons(copies, rules(near_copy=limit))
            assert (found == "near-copy").tolist() == [n >= expected for n in range(4)]

    @pytest.mark.parametrize(
        "given", [{}, {"margin": -9.0}, {"relative_margin": -9.0}, {"margin": 0.0}]
    )
    @pytest.mark.parametrize("anchor", [0.1, -0.1, 0.0, 7.25])
    def test_exactly_the_positives_score_never_passes(self, given, anchor):
        assert kept([anchor], anchor, **given) == []

    def test_minus_zero_is_zero(self):
        assert kept([-0.0, 0.0], 0.0) == kept([-0.0, 0.0], -0.0, margin=-1.0) == []

    @pytest.mark.parametrize(
        ("score", "anchor"),
        [
            (NAN, 1.0),
            (INF, 1.0),
            (-INF, 1.0),
            (0.0, NAN),
            (0.0, INF),
            (0.0, -INF),
            (NAN, NAN),
            (-INF, INF),
        ],
    )
    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"margin": 0.5},
            {"margin": -1e308},
            {"relative_margin": 0.5},
            {"max_score": 1e308},
            {"min_score": -1e308},
            {"range_max": 5},
        ],
    )
    def test_what_is_no_finite_number_never_passes(self, score, anchor, given):
        assert reasons(block([score], anchor), rules(**given)).tolist() == ["not-finite"]

    @pytest.mark.parametrize("name", ["margin", "relative-margin", "max-score", "min-score"])
    def test_each_rule_by_itself_drops_nan(self, name):
        given = rules(**{name.replace("-", "_"): 0.5})
        alone = {name: rules_of(given)[name]}
        assert reasons_by(block([NAN, NAN], [1.0, NAN]), alone).tolist() == [name, name]

    def test_a_positive_or_the_query_never_passes_whatever_its_score(self):
        candidates = block(
            [-9.0] * 3, is_positive=[True, False, True], is_query=[False, True, True]
        )
        assert reasons(candidates, rules()).tolist() == ["positive", "query", "positive"]

    def test_the_first_rule_that_drops_is_the_reason(self):
        everything = {
            "margin": 5.0,
            "relative_margin": 5.0,
            "max_score": -5.0,
            "min_score": 5.0,
            "range_min": 9,
            "near_copy": 0.5,
        }
        columns = {
            "positive": {"is_positive": [True], "is_query": [True], "near_copy": [1.0]},
            "query": {"is_query": [True], "near_copy": [1.0]},
            "near-copy": {"near_copy": [1.0]},
        }
        assert list(rules_of(rules(**everything)))[:2] == ["positive", "query"]
        for name, column in columns.items():
            assert reasons(block([NAN], **column), rules(**everything)).tolist() == [name]
        settings = dict(everything)
        assert reasons(block([NAN]), rules(**settings)).tolist() == ["not-finite"]
        assert reasons(block([1.0]), rules(**settings)).tolist() == ["rank"]
        del settings["range_min"]
        assert reasons(block([1.0]), rules(**settings)).tolist() == ["same-score"]
        for name in ("margin", "relative-margin", "max-score", "min-score"):
            assert reasons(block([0.5]), rules(**settings)).tolist() == [name]
            del settings[name.replace("-", "_")]
        assert reasons(block([0.5]), rules(**settings)).tolist() == [KEPT]


SCORES = [-4.0, -1.5, -1.0, -0.75, -0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 3.0]
awkward = st.sampled_from([*SCORES, NAN, INF, -INF])
amounts = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])
score_lists = st.lists(st.tuples(awkward, awkward), max_size=12)
signed = amounts | amounts.map(lambda amount: -amount)


def survivors(pairs, **given):
    scores, anchors = zip(*pairs, strict=True) if pairs else ((), ())
    return set(np.flatnonzero(reasons(block(scores, anchors), rules(**given)) == KEPT).tolist())


@PROPERTY
@given(score_lists, st.sampled_from(["margin", "relative_margin"]), signed, signed)
def test_a_looser_margin_keeps_all_that_a_tighter_one_keeps(pairs, rule, one, other):
    tight, loose = max(one, other), min(one, other)
    assert survivors(pairs, **{rule: tight}) <= survivors(pairs, **{rule: loose})


@PROPERTY
@given(score_lists, awkward.filter(math.isfinite), awkward.filter(math.isfinite))
def test_a_wider_score_range_keeps_all_that_a_narrower_one_keeps(pairs, one, other):
    low, high = min(one, other), max(one, other)
    assert survivors(pairs, max_score=low) <= survivors(pairs, max_score=high)
    assert survivors(pairs, min_score=high) <= survivors(pairs, min_score=low)


@PROPERTY
@given(score_lists, st.integers(0, 6), st.integers(1, 6), st.integers(0, 6), st.integers(1, 6))
def test_a_wider_window_keeps_all_that_a_narrower_one_keeps(pairs, start, size, before, after):
    start, stop = max(start, before), max(start, before) + size
    narrow = {"range_min": start, "range_max": stop, "num_negatives": 1}
    wide = {"range_min": start - before, "range_max": stop + after, "num_negatives": 1}
    assert survivors(pairs, **narrow) <= survivors(pairs, **wide)


@PROPERTY
@given(
    st.lists(st.tuples(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30)), max_size=12),
    st.floats(0, 10),
)
def test_no_margin_from_zero_on_lets_a_score_as_good_as_the_positives_through(pairs, amount):
    as_good = {n for n, (score, anchor) in enumerate(pairs) if score >= anchor}
    assert not survivors(pairs, relative_margin=amount) & as_good
    assert not survivors(pairs, margin=amount) & as_good


@PROPERTY
@given(
    st.lists(st.tuples(awkward, awkward, st.booleans(), st.booleans()), max_size=12),
    st.fixed_dictionaries(
        {}, optional={"margin": signed, "relative_margin": signed, "max_score": signed}
    ),
)
def test_whatever_the_settings_only_finite_other_texts_with_another_score_pass(rows, given):
    scores, anchors, positive, itself = zip(*rows, strict=True) if rows else ((),) * 4
    candidates = block(
        scores,
        anchors,
        is_positive=np.array(positive, dtype=bool),
        is_query=np.array(itself, dtype=bool),
    )
    for reason, row in zip(reasons(candidates, rules(**given)), rows, strict=True):
        if reason == KEPT:
            assert math.isfinite(row[0])
            assert math.isfinite(row[1])
            assert row[0] != row[1]
            assert not row[2]
            assert not row[3]


def table_of(queries, column="dense_score"):
    """Candidates from `[[(score, kind, near copy), ...], ...]`, kind one of "+", "?" and "-"."""
    rows = []
    for number, query in enumerate(queries):
        rank = 0
        for place, (score, kind, copied) in enumerate(query):
            rows.append(
                {
                    "query_id": f"q {number}",
                    "doc_id": f"d {place}",
                    "rank": rank if kind == "-" else None,
                    "rrf_score": 1.0,
                    "is_positive": kind == "+",
                    "is_query": kind == "?",
                    "query_row": number,
                    "doc_row": place,
                    "near_copy": None if kind == "+" else copied,
                    column: score,
                }
            )
            rank += kind == "-"
    return pa.Table.from_pylist(rows, schema=schema.CANDIDATES)


def simple(*queries):
    """Candidates from `(positives' scores, candidates' scores)`."""
    return table_of(
        [
            [*((score, "+", None) for score in positives), *((score, "-", 0.0) for score in others)]
            for positives, others in queries
        ]
    )


def column(table, name):
    return table[name].to_pylist()


def anchor_by_hand(scores, how):
    if not scores or not all(map(math.isfinite, scores)):
        return NAN
    if how == "mean":
        return sum(scores) / len(scores)
    return min(scores) if how == "min" else max(scores)


def reason_by_hand(row, score, anchor, given):
    """The first rule that drops a row, from the words of the design."""
    given = {"near_copy": 0.9, "range_min": 0, **given}
    score = NAN if score is None else score
    stop = given.get("range_max", INF)
    keeps = {
        "positive": not row["is_positive"],
        "query": not row["is_query"],
        "near-copy": row["near_copy"] is None or row["near_copy"] < given["near_copy"],
        "not-finite": math.isfinite(score) and math.isfinite(anchor),
        "rank": row["rank"] is not None and given["range_min"] <= row["rank"] < stop,
        "same-score": score != anchor,
        "margin": "margin" not in given or score <= anchor - given["margin"],
        "relative-margin": "relative_margin" not in given
        or score <= anchor - abs(anchor) * given["relative_margin"],
        "max-score": "max_score" not in given or score <= given["max_score"],
        "min-score": "min_score" not in given or score >= given["min_score"],
    }
    return next((name for name, holds in keeps.items() if not holds), None)


kinds = st.sampled_from("---+?")
copies = st.sampled_from([None, 0.0, 0.0, 0.5, 1.0])
candidate_queries = st.lists(
    st.tuples(
        st.lists(st.tuples(awkward | st.none(), kinds, copies), max_size=9),
        st.sampled_from(SCORES),
    ).map(lambda drawn: [*drawn[0], (drawn[1], "+", None)]),
    min_size=1,
    max_size=5,
)
settings_given = st.fixed_dictionaries(
    {"positive_score": st.sampled_from(["min", "max", "mean"]), "num_negatives": st.integers(1, 4)},
    optional={
        "margin": signed,
        "relative_margin": signed,
        "max_score": st.sampled_from(SCORES),
        "min_score": st.sampled_from(SCORES),
        "range_min": st.integers(0, 3),
        "near_copy": st.sampled_from([0.0, 0.5, 1.0, 1.5]),
    },
)


@PROPERTY
@given(candidate_queries, settings_given, st.sampled_from(["dense", "bm25", "ce"]))
def test_verdicts_are_what_working_them_out_by_hand_gives(queries, given, score):
    table = table_of(queries, "bm25_score" if score == "bm25" else "dense_score")
    scores = [score for query in queries for score, _, _ in query]
    logits = None
    if score == "ce":
        scores = [NAN if value is None else value for value in scores]
        logits = np.array(scores, dtype=np.float32)
    chosen = rules(score=score, cross_encoder="model" if score == "ce" else None, **given)
    verdicts = verdicts_of(table, logits, chosen)
    scored = verdicts.scored()
    fields = [scored.schema.field(name) for name in schema.VERDICTS.names]
    assert pa.schema(fields).equals(schema.VERDICTS, check_metadata=True)
    start, short = 0, []
    for number, query in enumerate(queries):
        rows = scored.slice(start, len(query)).to_pylist()
        own = scores[start : start + len(query)]
        start += len(query)
        positives = [
            NAN if value is None else value
            for value, row in zip(own, rows, strict=True)
            if row["is_positive"]
        ]
        anchor = anchor_by_hand(positives, given["positive_score"])
        found = [
            reason_by_hand(row, value, anchor, given) for row, value in zip(rows, own, strict=True)
        ]
        assert [row["reason"] for row in rows] == found
        assert [row["keep"] for row in rows] == [reason is None for reason in found]
        free = [n for n, reason in enumerate(found) if reason is None][: given["num_negatives"]]
        assert [n for n, row in enumerate(rows) if row["selected"]] == free
        for n, row in enumerate(rows):
            assert row["positive_score"] == (None if math.isnan(anchor) else anchor)
            assert row["label"] == (1 if row["is_positive"] else 0 if n in free else None)
            assert row["weight"] == (1.0 if n in free else None)
        if len(free) < given["num_negatives"]:
            short.append((number, len(free), [r for r in found if r != "positive"]))
    check_shortfall(shortfall_of(verdicts), short, given["num_negatives"])
    check_counts(counts_of(verdicts), scored.to_pylist(), len(queries), given["num_negatives"])


def check_shortfall(table, expected, asked):
    assert table.schema.equals(schema.SHORTFALL, check_metadata=True)
    for row, (number, found, reasons_) in zip(table.to_pylist(), expected, strict=True):
        assert (row["query_id"], row["asked"], row["found"]) == (f"q {number}", asked, found)
        assert row["candidates"] == len(reasons_)
        dropped = Counter(reason for reason in reasons_ if reason)
        most = [name for name, count in dropped.items() if count == max(dropped.values())]
        assert row["reason"] in (most or ["no-candidates"])


def check_counts(counts, rows, queries, asked):
    dropped = {name: count for name, count in counts.items() if name.startswith("dropped_")}
    assert counts["candidates"] == counts["kept"] + sum(dropped.values())
    assert counts["candidates"] + counts["positives"] == len(rows)
    assert counts["queries"] == queries
    assert counts["kept"] == sum(row["keep"] for row in rows)
    assert counts["negatives"] == sum(row["selected"] for row in rows)
    assert counts["negatives_asked"] == queries * asked
    assert counts["negatives_missing"] == queries * asked - counts["negatives"]
    by_reason = Counter(row["reason"] for row in rows if row["reason"] and not row["is_positive"])
    assert dropped == {f"dropped_{name}": count for name, count in by_reason.items()}


class TestVerdicts:
    def test_each_query_is_compared_with_its_own_positives(self):
        """One, two, one positives: sentence-transformers 5.1 shifted the anchors here."""
        table = simple(([0.9], [0.95, 0.85, 0.5]), ([0.6, 0.3], [0.5, 0.2]), ([0.1], [0.5, 0.05]))
        scored = verdicts_of(table, None, rules(margin=0.0)).scored()
        assert column(scored, "positive_score") == pytest.approx([0.9] * 4 + [0.3] * 4 + [0.1] * 3)
        assert column(scored, "keep") == [
            *(False, False, True, True),
            *(False, False, False, True),
            *(False, False, True),
        ]

    @pytest.mark.parametrize(
        ("how", "anchor", "expected"),
        [
            ("min", 0.25, [0.0]),
            ("max", 0.75, [0.625, 0.5, 0.375, 0.0]),
            ("mean", 0.5, [0.375, 0.0]),
        ],
    )
    def test_the_anchor_is_the_least_the_most_or_the_mean(self, how, anchor, expected):
        table = simple(([0.75, 0.25], [0.875, 0.75, 0.625, 0.5, 0.375, 0.0]))
        scored = verdicts_of(table, None, rules(margin=0.0, positive_score=how)).scored()
        assert set(column(scored, "positive_score")) == {anchor}
        assert [row["dense_score"] for row in scored.to_pylist() if row["keep"]] == expected

    @pytest.mark.parametrize("how", ["min", "max", "mean"])
    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_one_positive_without_a_number_leaves_the_query_without_negatives(self, how, position):
        positives = [0.5, 0.75, 0.25]
        positives[position] = NAN
        table = simple((positives, [0.1, 0.2]), ([0.5], [0.25]))
        scored = verdicts_of(table, None, rules(positive_score=how)).scored()
        assert column(scored, "keep") == [False] * 6 + [True]
        assert column(scored, "reason")[3:5] == ["not-finite"] * 2

    def test_the_window_counts_ranks_before_any_rule(self):
        table = simple(([0.5], [0.9, 0.8, 0.7, 0.4, 0.3, 0.2]))
        given = {"margin": 0.0, "range_min": 2, "range_max": 5, "num_negatives": 1}
        scored = verdicts_of(table, None, rules(**given)).scored()
        assert column(scored, "reason")[1:] == ["rank", "rank", "margin", None, None, "rank"]
        assert column(scored, "selected").index(True) == 4

    def test_the_margin_is_on_the_raw_logits_of_the_cross_encoder(self):
        table = simple(([0.1], [0.9, 0.9, 0.9]))
        logits = np.array([4.0, 1.0, 1.0000001, -11.0], dtype=np.float32)
        chosen = rules(score="ce", cross_encoder="model", margin=3.0)
        scored = verdicts_of(table, logits, chosen).scored()
        assert column(scored, "keep") == [False, True, False, True]
        assert column(scored, "ce_score") == logits.tolist()
        assert column(scored, "positive_score") == [4.0] * 4

    def test_a_missing_score_never_passes(self):
        table = table_of([[(0.5, "+", None), (None, "-", 0.0), (0.25, "-", 0.0)]])
        assert column(verdicts_of(table, None, rules()).scored(), "reason") == [
            "positive",
            "not-finite",
            None,
        ]

    def test_the_first_survivors_by_rank_are_selected(self):
        table = simple(([0.5], [0.1, 0.4, 0.9, 0.2, 0.3]))
        scored = verdicts_of(table, None, rules(margin=0.0, num_negatives=3)).scored()
        assert [
            row["dense_score"] for row in scored.to_pylist() if row["selected"]
        ] == pytest.approx([0.1, 0.4, 0.2])

    def test_what_dropped_most_is_the_reason_of_a_shortfall(self):
        table = table_of(
            [
                [(0.5, "+", None), *[(0.75, "-", 0.0)] * 3, (0.5, "-", 0.0), (0.25, "-", 0.0)],
                [(0.5, "+", None), (0.75, "-", 0.0), *[(NAN, "-", 0.0)] * 2, (0.9, "?", 0.0)],
                [(0.5, "+", None), (0.5, "+", None)],
                [(0.5, "+", None), (0.25, "-", 0.0)],
                [(0.5, "+", None), (0.25, "-", 0.0), (0.125, "-", 0.0)],
                [(0.5, "+", None), (0.25, "?", 0.0)],
            ]
        )
        shortfall = shortfall_of(verdicts_of(table, None, rules(margin=0.0, num_negatives=2)))
        assert [tuple(row.values()) for row in shortfall.to_pylist()] == [
            ("q 0", 2, 1, 5, "margin"),
            ("q 1", 2, 0, 4, "not-finite"),
            ("q 2", 2, 0, 0, "no-candidates"),
            ("q 3", 2, 1, 1, "no-candidates"),
            ("q 5", 2, 0, 1, "query"),
        ]

    def test_what_is_dropped_is_never_padded_with(self):
        table = simple(([0.5], [0.9, 0.8, 0.7]))
        verdicts = verdicts_of(table, None, rules(margin=0.0, num_negatives=3))
        assert not verdicts.selected.any()
        assert counts_of(verdicts)["negatives_missing"] == 3


random_queries = st.lists(
    st.lists(st.sampled_from([0.1, 0.2, 0.6]), max_size=8), min_size=1, max_size=5
)


@settings(PROPERTY, max_examples=25)
@given(random_queries, st.integers(0, 99), st.integers(1, 3), st.randoms())
def test_a_random_choice_is_the_same_however_candidates_are_ordered_or_split(
    queries, seed, n, random
):
    table = simple(*(([0.5], scores) for scores in queries))
    given = rules(sampling="random", seed=seed, num_negatives=n, margin=0.0)

    def chosen(part):
        rows = verdicts_of(part, None, given).scored().to_pylist()
        return {(row["query_id"], row["doc_id"]) for row in rows if row["selected"]}

    whole = chosen(table)
    rows = table.to_pylist()
    groups = [[row for row in rows if row["query_row"] == query] for query in range(len(queries))]
    for group in groups:
        random.shuffle(group)
    random.shuffle(groups)
    shuffled = [row for group in groups for row in group]
    assert chosen(pa.Table.from_pylist(shuffled, schema=schema.CANDIDATES)) == whole
    parts = [pa.Table.from_pylist(group, schema=schema.CANDIDATES) for group in groups]
    assert set().union(*map(chosen, parts)) == whole
    kept = {
        (row["query_id"], row["doc_id"])
        for row in verdicts_of(table, None, given).scored().to_pylist()
        if row["keep"]
    }
    assert whole <= kept
    for query in range(len(queries)):
        own = [pair for pair in kept if pair[0] == f"q {query}"]
        assert sum(pair[0] == f"q {query}" for pair in whole) == min(n, len(own))
