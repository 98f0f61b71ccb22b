from __future__ import annotations

from pathlib import Path

import pytest

from hnmine.config import (
    BuildIndexSettings,
    FilterSettings,
    MineSettings,
)
from hnmine.config.file import pipeline, read_yaml, settings_for
from hnmine.errors import UsageError
from hnmine.stages.filter import resolve
from hnmine.stages.filtering import settle

FILTER = {"candidates": "c", "output": "o"}


def test_all_errors_come_at_once_with_suggestions():
    with pytest.raises(UsageError) as error:
        FilterSettings.parse({**FILTER, "margn": 1, "num-negatives": 0, "format": "best"})
    message = str(error.value)
    assert "margn: no such setting. Did you mean margin?" in message
    assert "num-negatives: Input should be greater than or equal to 1 (given: 0)" in message
    assert "format: Input should be 'triplet'" in message


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (BuildIndexSettings, {"index": "i"}, "give --corpus, or --pairs"),
        (BuildIndexSettings, {"index": "i", "corpus": "c"}, "encoder: must be given"),
        (
            BuildIndexSettings,
            {"index": "i", "corpus": "c", "bm25": False, "dense": False},
            "nothing to build",
        ),
        (MineSettings, {"index": "i", "output": "o"}, "give --pairs, or --queries and --qrels"),
        (MineSettings, {"index": "i", "output": "o", "queries": "q"}, "give --pairs"),
        (
            MineSettings,
            {"index": "i", "output": "o", "pairs": "p", "queries": "q", "qrels": "r"},
            "not both",
        ),
        (MineSettings, {"output": "o", "pairs": "p"}, "index: must be given"),
        (
            MineSettings,
            {"index": "i", "output": "o", "pairs": "p", "column": ["query"]},
            "TABLE.ROLE=NAME",
        ),
        (
            MineSettings,
            {"index": "i", "output": "o", "pairs": "p", "column": ["corpse.text=x"]},
            "names no table",
        ),
        (FilterSettings, {**FILTER, "score": "ce"}, "ce needs --cross-encoder"),
        (FilterSettings, {**FILTER, "range-min": 5, "range-max": 5}, "greater than range-min"),
        (
            FilterSettings,
            {**FILTER, "range-min": 5, "range-max": 8, "num-negatives": 4},
            "leave 3 candidates",
        ),
    ],
)
def test_contradictions_are_named(settings, values, message):
    with pytest.raises(UsageError, match=message):
        settings.parse(values)


def test_columns_by_table():
    settings = MineSettings.parse(
        {"index": "i", "output": "o", "pairs": "p", "column": ["pairs.query=q", "corpus.text=t"]}
    )
    assert settings.columns("pairs") == {"query": "q"}
    assert settings.columns("qrels") == {}


def test_flags_win_over_a_section_and_a_section_over_the_top_level():
    file = {"output": "runs", "max-length": 1, "pairs": "p", "filter": {"max-length": 2}}
    index = settings_for("build-index", file, {"encoder": "m"})
    assert (index.index, index.max_length, index.pairs) == (Path("runs/index"), 1, "p")
    assert settings_for("filter", file, {}).max_length == 2
    mined = settings_for("filter", file, {"max_length": 3, "output": Path("elsewhere")})
    assert (mined.max_length, mined.output) == (3, Path("elsewhere"))
    assert mined.candidates == Path("runs/candidates")


def test_a_pipeline_puts_everything_into_one_directory():
    index, mine, filtered = pipeline(
        {"pairs": "p", "build-index": {"dense": False}}, {"output": "x", "num_negatives": 2}
    )
    assert index.index == mine.index == Path("x/index")
    assert mine.output == filtered.candidates == Path("x/candidates")
    assert filtered.output == Path("x/mined")
    assert filtered.num_negatives == 2


def test_unknown_keys_of_a_file_are_named():
    with pytest.raises(UsageError, match=r"num-negative: no such setting\. Did you mean num-neg"):
        settings_for("mine", {"num-negative": 3}, {})
    with pytest.raises(UsageError, match="filter: is a section"):
        settings_for("mine", {"filter": 3}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML"), ("- a", "holds no settings"), ("", "holds no settings")],
)
def test_a_broken_file_is_a_clean_error(tmp_path, text, message):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_yaml(file)
    with pytest.raises(UsageError, match="Cannot read"):
        read_yaml(tmp_path / "absent.yaml")


def test_the_plan_holds_what_the_result_depends_on_and_nothing_else():
    plan = FilterSettings.parse({**FILTER, "threads": 3, "seed": 7}).plan()
    assert plan["seed"] == 7
    assert not {"threads", "output", "candidates", "index", "overwrite", "progress"} & set(plan)


@pytest.mark.parametrize(
    ("given", "scores", "score"),
    [
        ({"cross_encoder": "m"}, ["bm25", "dense"], "ce"),
        ({}, ["bm25", "dense"], "dense"),
        ({}, ["bm25"], "bm25"),
        ({"cross_encoder": "m", "score": "dense"}, ["dense"], "dense"),
    ],
)
def test_the_score_is_the_best_that_there_is(given, scores, score):
    assert resolve(FilterSettings.parse({**FILTER, **given}), scores).score == score


@pytest.mark.parametrize(
    ("given", "chooses"),
    [
        ({}, True),
        ({"min_score": 0.1, "near_copy": 0.8, "where": ["rank < 50"]}, True),
        ({"max_score": 0.7}, False),
        ({"margin": 0.0}, False),
        ({"relative_margin": 0.0}, False),
        ({"sampling": "random"}, False),
        ({"order": "-score"}, False),
        ({"default_rule": False}, False),
    ],
)
def test_the_least_likely_relevant_are_chosen_where_nothing_else_is_said(given, chooses):
    settings = FilterSettings.parse({**FILTER, **given})
    learned = {"price_of_depth": 0.25, "place": "rank(dense_score)", "where": ["rank > 2"]}
    settled = settle(settings, learned)
    by_relevance = "ln(1 + exp(relevance)) + 0.25e0 * depth"
    assert settled.derive == ({"depth": "rank(dense_score)"} if chooses else {})
    assert settled.order == (by_relevance if chooses else settings.order)
    assert settled.max_p_relevant == (0.5 if chooses else None)
    assert settled.where == [*settings.where, *(["rank > 2"] if chooses else [])]
    assert settle(settings, {}) == settings


def test_a_score_that_was_not_mined_is_refused():
    with pytest.raises(UsageError, match="mined with: bm25"):
        resolve(FilterSettings.parse({**FILTER, "score": "dense"}), ["bm25"])


def test_paths_may_be_given_for_texts_and_texts_for_paths():
    given = {"corpus": Path("c.parquet"), "pairs": Path("p.parquet"), "index": "i"}
    settings = BuildIndexSettings.parse({**given, "encoder": "e"})
    assert (settings.corpus, settings.pairs) == (["c.parquet"], "p.parquet")
    assert settings.index == Path("i")
    several = BuildIndexSettings.parse({**given, "corpus": (Path("a"), "b"), "encoder": "e"})
    assert several.corpus == ["a", "b"]
