from __future__ import annotations

from pathlib import Path

import pytest

from hnmine.config import (
    BuildIndexSettings,
    FilterSettings,
    MineSettings,
)
from hnmine.configfile import pipeline, read_yaml, settings_for
from hnmine.errors import UsageError
from hnmine.stages.filter import resolve

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
    ("given", "sources", "score", "margin", "relative_margin"),
    [
        ({"cross_encoder": "m"}, ["bm25", "dense"], "ce", 3.0, None),
        ({}, ["bm25", "dense"], "dense", None, 0.05),
        ({}, ["bm25"], "bm25", None, 0.05),
        ({"max_score": 0.7}, ["dense"], "dense", None, None),
        ({"margin": 0.0}, ["dense"], "dense", 0.0, None),
        ({"default_rule": False}, ["dense"], "dense", None, None),
        ({"min_score": 0.1}, ["dense"], "dense", None, 0.05),
        ({"cross_encoder": "m", "score": "dense"}, ["dense"], "dense", None, 0.05),
    ],
)
def test_defaults_that_depend_on_other_settings(given, sources, score, margin, relative_margin):
    resolved = resolve(FilterSettings.parse({**FILTER, **given}), sources)
    assert (resolved.score, resolved.margin, resolved.relative_margin) == (
        score,
        margin,
        relative_margin,
    )


def test_a_score_that_was_not_mined_is_refused():
    with pytest.raises(UsageError, match="mined with: bm25"):
        resolve(FilterSettings.parse({**FILTER, "score": "dense"}), ["bm25"])
