"""The last lines of `filter`: facts, what is beyond a bound and its flag, the next command."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hnmine.config import FilterSettings, MineSettings
from hnmine.relevance.learned import Learned
from hnmine.selection.hardness import Hardness
from hnmine.selection.last_lines import Measured, last_lines

HARDNESS = Hardness(100, 0.5, 0.3, 0.5, 0.5, {}, 19.6, {"bm25": 0.85, "length": 0.854}, most_uses=5)
COUNTS = {"queries": 40, "negatives_asked": 200, "negatives_missing": 10, "negatives": 190}


def measured(counts=COUNTS, hardness=HARDNESS, sources=("bm25", "dense"), depth=20.0, **given):
    learned = Learned.model_construct(depth=depth, shortcut_prices={"bm25": 1.0})
    settings = FilterSettings.parse({"candidates": "c", "output": "o", **given})
    mined = MineSettings.parse({"index": "i", "output": "c", "top_k": 30, "pairs": "p"})
    return Measured(
        "my runs/m", counts, hardness, learned, settings, mined, list(sources), list(sources)
    )


def findings(run):
    """All lines but the summary, the hardness and the next command."""
    _, hardness, *found, following = last_lines(run)
    assert hardness.startswith("Hardness")
    assert following.startswith("Next: `hnmine report 'my runs/m'`")
    return found


def test_at_the_bounds_there_is_only_what_was_measured():
    assert findings(measured()) == []
    assert next(iter(last_lines(measured()))) == (
        "190 negatives for 40 queries (95% of those asked for), mean rank 19.6, AUC of BM25 alone "
        "0.85, AUC of length alone 0.85, no document for more than 5 queries."
    )


@pytest.mark.parametrize(
    ("change", "says", "given"),
    [
        ({"easy": 0.51}, "51% of the rows give almost no gradient", {}),
        ({"easy": 0.51}, "lower --depth (now 20).", {}),
        ({"easy": 0.51}, "lower --range-max", {"order": "dense_rank"}),
        ({"easy": 0.51}, "mine with a stronger encoder.", {"depth": 0.0}),
        ({"overtaken": 0.51}, "In 51% of the rows a negative scores as high", {}),
        ({"overtaken": 0.51}, "hnmine review 'my runs/m'`, or raise --depth (now 20).", {}),
        ({"overtaken": 0.51}, "or raise --range-min.", {"margin": 0.1}),
        (
            {"shortcuts": {"bm25": 0.86}},
            "mine with --source bm25:60 --source dense:30.",
            {},
        ),
        (
            {"shortcuts": {"bm25": 0.86}},
            "mine with --source dense:30 --source bm25:30.",
            {"sources": ["dense"]},
        ),
        ({"shortcuts": {"bm25": 0.86}}, "only the default choice", {"strata": "rank > 9"}),
        ({"shortcuts": {"bm25": 0.86}}, "only the default choice", {"sampling": "random"}),
        ({"shortcuts": {"length": 0.86}}, "Length alone still tells", {}),
        ({"shortcuts": {"length": 0.86}}, "(AUC 0.86): mine with --top-k 60.", {}),
    ],
)
def test_a_measure_beyond_its_bound_is_one_line_with_the_flag(change, says, given):
    (line,) = findings(measured(hardness=replace(HARDNESS, **change), **given))
    assert says in line


@pytest.mark.parametrize(("documents", "says"), [(30, "add documents"), (31, "mine deeper")])
def test_nothing_is_deeper_than_the_whole_corpus(documents, says):
    run = replace(measured({**COUNTS, "negatives_missing": 12}), documents=documents)
    (line,) = findings(run)
    assert f"missing: {says}" in line
    assert ("--deepen" in line) == (says == "mine deeper")


def test_missing_negatives_are_one_line_with_the_flag():
    (line,) = findings(measured({**COUNTS, "negatives_missing": 12}))
    assert line.startswith("12 of 200 negatives are missing: mine deeper (--top-k)")


@pytest.mark.parametrize(
    ("counts", "given", "says"),
    [
        ({}, {}, "mine deeper (--top-k), pass --deepen 4, or loosen the rules."),
        ({}, {"deepen": 8}, "pass --deepen 16, or"),
        ({"dropped_max-uses": 1}, {"max_uses": 1}, "missing: raise --max-uses (now 1), or mine"),
        ({}, {"lazy": True, "cross_encoder": "m"}, "mine deeper (--top-k), or loosen the rules."),
    ],
)
def test_the_flag_is_one_that_was_not_given_already(counts, given, says):
    (line,) = findings(measured({**COUNTS, "negatives_missing": 12, **counts}, **given))
    assert says in line


def test_no_share_is_rounded_up_to_all_of_it():
    found = {**COUNTS, "negatives_asked": 1000, "negatives_missing": 1, "negatives": 999}
    assert "(99% of those asked for)" in next(iter(last_lines(measured(found))))


def test_one_is_not_many():
    one = {**COUNTS, "queries": 1}
    first = next(iter(last_lines(measured(one, replace(HARDNESS, most_uses=1)))))
    assert "negatives for 1 query (" in first
    assert first.endswith("no document for more than 1 query.")


def test_without_negatives_nothing_is_said_to_train_on():
    none = {**COUNTS, "negatives": 0, "negatives_asked": 0, "negatives_missing": 0}
    first, _ = last_lines(measured(none, hardness=None))  # The command ends with an error.
    assert first == "0 negatives for 40 queries."


def test_a_name_that_begins_like_an_option_is_given_as_a_path():
    run = replace(measured(hardness=replace(HARDNESS, overtaken=0.51)), place="-m")
    *_, review, following = last_lines(run)
    assert "`hnmine review ./-m`" in review
    assert following.startswith("Next: `hnmine report ./-m` shows them and the most doubtful")


def test_what_is_unknown_is_not_said():
    first, second, last = last_lines(measured(hardness=None, sources=["bm25"]))
    assert first == "190 negatives for 40 queries (95% of those asked for)."
    assert second.startswith("Hardness: unknown")
    assert last.startswith("Next:")
    old = replace(HARDNESS, rank=None, shortcuts={}, most_uses=None)
    assert findings(measured(hardness=old)) == []
    assert next(iter(last_lines(measured(hardness=old)))) == first
