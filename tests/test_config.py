from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer
import yaml
from conftest import hnmine, write
from typer.testing import CliRunner

from hnmine.cli import app
from hnmine.commands import COMMANDS
from hnmine.commands.configuration import (
    optional,
    pipeline,
    read_config,
    read_yaml,
    settings_for,
)
from hnmine.commands.found_inputs import MODELS, with_inputs
from hnmine.commands.run import DIRECTORIES
from hnmine.config import BuildIndexSettings, FilterSettings, MineSettings
from hnmine.errors import UsageError
from hnmine.recipes import RECIPES, recipe_file
from hnmine.relevance.learned import Learned
from hnmine.selection.criteria import criteria
from hnmine.selection.pipeline import resolve
from hnmine.validate import initialising

FILTER = {"candidates": "c", "output": "o"}


def test_all_errors_come_at_once_with_suggestions():
    with pytest.raises(UsageError) as error:
        FilterSettings.parse({**FILTER, "margn": 1, "num-negatives": 0, "format": "best"})
    message = str(error.value)
    assert "margn: no such setting. Did you mean margin?" in message
    assert "num-negatives: Input should be greater than or equal to 1 (given: 0)" in message
    assert "format: 'best' is none of triplet, n-tuple" in message


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (BuildIndexSettings, {"index": "i"}, "Missing required option --corpus, or --pairs"),
        (BuildIndexSettings, {"index": "i", "corpus": "c"}, "Missing required option --encoder"),
        (
            BuildIndexSettings,
            {"index": "i", "corpus": "c", "bm25": False, "dense": False},
            "nothing to build",
        ),
        (
            MineSettings,
            {"index": "i", "output": "o"},
            "Missing required option --pairs, or --queries and --qrels",
        ),
        (MineSettings, {"index": "i", "output": "o", "queries": "q"}, "required option --pairs"),
        (
            MineSettings,
            {"index": "i", "output": "o", "pairs": "p", "queries": "q", "qrels": "r"},
            "not both",
        ),
        (MineSettings, {"output": "o", "pairs": "p"}, "Missing required option --index"),
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
    ).stages
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
    place = "rank(dense_score)"
    learned = Learned.model_construct(price_of_depth=0.25, place=place, where=("rank > 2",))
    rules, choice = criteria(settings, learned)
    by_relevance = "ln(1 + exp(relevance)) + 0.25e0 * depth + shortcut"
    assert rules.derive == ({"depth": place} if chooses else {})
    assert choice.order == (by_relevance if chooses else settings.order)
    plain = dict(criteria(settings)[0].expressions)
    assert dict(rules.expressions) == plain | ({"rank > 2": "rank > 2"} if chooses else {})
    where = [text for name, text in rules.expressions if name == text]
    assert where == [*settings.where, *(["rank > 2"] if chooses else [])]
    assert criteria(settings)[1].order == settings.order


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


def kinds(annotation: Any) -> set[Any]:
    """The types in an annotation: `list[int] | None` is of a list, of int and of None."""
    if get_origin(annotation) is Literal:
        return {Literal}
    parts = get_args(annotation)
    found = {get_origin(annotation) or annotation}
    return found.union(*map(kinds, parts)) if parts else found


def settings_of(*wanted: Any) -> list[tuple[str, str]]:
    """Every (command, setting) of some types, in an order."""
    return [
        (command, name)
        for command, found in COMMANDS.items()
        for name, field in found.settings.model_fields.items()
        if command != "run" and kinds(field.annotation) & set(wanted)
    ]


def is_map(command: str, name: str) -> bool:
    return dict in kinds(COMMANDS[command].settings.model_fields[name].annotation)


def problems(command: str, values: dict[str, Any]) -> str:
    """What is wrong with some settings; they lack what is required, so that something always is."""
    with pytest.raises(UsageError) as raised:
        COMMANDS[command].settings.parse({**values, "no-such": 1})
    return raised.value.what


@pytest.fixture(scope="module", autouse=True)
def one_command_line():
    """The command line, built once for all tests here: 17 commands take a tenth of a second."""
    built = functools.cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.main.get_command", built)
        patch.setattr("typer.testing._get_command", built)
        yield


def flagged(command: str, name: str, *values: str) -> Any:
    flag = f"--{name.replace('_', '-')}"
    registered = typer.main.get_command(app).commands[command]
    known = [option for parameter in registered.params for option in parameter.opts]
    given = [part for value in values for part in ((flag, value) if flag in known else (value,))]
    return CliRunner().invoke(app, [command, *given])


NOT_NUMBERS = ("nan", "inf", "-inf")


@pytest.mark.parametrize(("command", "name"), settings_of(float, int))
def test_no_number_is_nan_or_infinite(command, name, tmp_path):
    for value in NOT_NUMBERS:
        python: Any = float(value)
        text = f"a={value}" if is_map(command, name) else value
        loaded = yaml.safe_load(f"key: .{value}" if value[0] != "-" else "key: -.inf")["key"]
        for given in (python, loaded, value):
            given = {"a": given} if is_map(command, name) else given
            assert f"{name.replace('_', '-')}" in problems(command, {name: given})
        done = flagged(command, name, text)
        assert done.exit_code == 2, done.output
        assert not isinstance(done.exception, ValueError)
        assert "fault" not in done.output


@pytest.mark.parametrize(("command", "name"), settings_of(int))
def test_counts_are_whole_numbers_within_bounds(command, name):
    wrong = [-1, 1.5, 10**30, -(10**30), True, False, "x", "1e3", b"\xff", [[]]]
    for value in wrong:
        given = {"a": value} if is_map(command, name) else value
        assert name.replace("_", "-") in problems(command, {name: given}), value
    for value in (2, "2"):
        value = 20 if name == "characters" else value
        given = {"a": value} if is_map(command, name) else value
        assert not problems(command, {name: given}).startswith(name.replace("_", "-") + ":")


@pytest.mark.parametrize(("command", "name"), settings_of(float))
def test_a_number_is_no_yes_or_no(command, name):
    for value in (True, False):
        assert f"{name.replace('_', '-')}: must be a number" in problems(command, {name: value})


def test_every_setting_of_several_values_is_walked():
    assert {("mine", "source"), ("filter", "where"), ("mix", "by")} <= set(settings_of(list))
    assert ("filter", "quota") in settings_of(dict)
    assert ("filter", "margin") in settings_of(float)


LISTED = {"source": "bm25", "edit": "date", "by": "mochi:3", "cluster_size": 7}


@pytest.mark.parametrize(("command", "name"), settings_of(list))
def test_a_list_may_be_one_plain_value(command, name, tmp_path):
    value = LISTED.get(name, "x")
    file = tmp_path / "c.yaml"
    file.write_text(f"{name.replace('_', '-')}: {value}\n")
    required = {
        "mine": {"index": "i", "output": "o", "pairs": "p"},
        "build-index": {"index": "i", "dense": False, "pairs": "p"},
        "filter": FILTER,
        "batch": {"mined": "m", "output": "o", "by": "balanced-cluster"},
        "generate": {"output": "o", "pairs": "p"},
        "mix": {"mined": "m", "output": "o"},
        "inspect": {"mined": "m"},
        "compare": {"train": "m", "output": "o"},
    }
    if (command, name) == ("generate", "prompt"):
        required["generate"] |= {"endpoint": "http://localhost:1/v1", "llm": "m"}
    settings = settings_for(command, read_yaml(file), required.get(command, {}))
    assert [str(item) for item in getattr(settings, name)] == [str(value)]
    # Its lines are all commented out.
    default = settings.model_fields[name].get_default(call_default_factory=True)
    if (command, name) != ("batch", "cluster_size"):
        file.write_text(f"{name.replace('_', '-')}:\n  # - {value}\n")
        given = read_yaml(file), required.get(command, {})
        if settings.model_fields[name].is_required():
            with pytest.raises(UsageError, match="Missing"):
                settings_for(command, *given)
        else:
            assert getattr(settings_for(command, *given), name) == default


@pytest.mark.parametrize(("command", "name"), settings_of(dict))
def test_the_entries_of_mappings_are_checked(command, name):
    left, right = ("corpus.text", "b") if name == "column" else ("a", 1 if name == "quota" else "b")
    good, entry = {left: right}, f"{left}={right}"
    for value in (good, [entry], entry, (entry,)):
        assert f"{name.replace('_', '-')}" not in problems(command, {name: value})
    wrong: list[Any] = [{left: ""}, {"": right}, {left: None}, {left: []}, {1: right}, {" ": right}]
    wrong += ["a", [entry, entry], [f"{left}="], [f"={right}"], 3, [3], {left: {}}]
    if name == "column":
        wrong += [{"text": "b"}, {"corpse.text": "b"}]
    for value in wrong:
        assert name.replace("_", "-") in problems(command, {name: value}), value


def test_quotas_are_counts_of_at_least_one_in_all():
    assert FilterSettings.parse({**FILTER, "quota": {"a": 2, "b": 0}}).num_negatives == 2
    for quota in ({"a": -3, "b": 5}, {"a": -3}, {"a": 1.5}, {"a": 0}, {"a": 2**31}):
        with pytest.raises(UsageError, match="quota"):
            FilterSettings.parse({**FILTER, "quota": quota})


@pytest.mark.parametrize("build", [FilterSettings.parse, lambda given: FilterSettings(**given)])
def test_what_a_setting_fills_in_is_checked_like_what_was_given(build):
    quota = {**FILTER, "quota": {"a": 3, "b": 4}}
    assert build(quota).num_negatives == 7
    for more in ({"range_min": 5, "range_max": 5}, {"range_min": 5, "range_max": 8}):
        with pytest.raises((UsageError, ValueError), match="range-m"):
            build({**quota, **more})
    lazy = {**FILTER, "lazy": True, "cross_encoder": "m"}
    assert build(lazy).margin == 3.0
    with pytest.raises((UsageError, ValueError), match="lazy"):
        build({**lazy, "quota": {"a": 3}})


class TestLargeFiles:
    """What is made to be large is refused before it is read."""

    def refused(self, file: Path) -> str:
        calls = 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        with pytest.raises(UsageError) as raised:
            sys.setprofile(count)
            try:
                read_yaml(file)
            finally:
                sys.setprofile(None)
        assert calls < 3_000_000  # Less than a second.
        return raised.value.what

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("\n".join(f"key-{n}: {n}" for n in range(40_000)), "5,000 keys and values"),
            ("filter:\n" + "\n".join(f"  k{n}: {n}" for n in range(40_000)), "5,000 keys"),
            ("where: [" + "a, " * 40_000 + "a]", "5,000 keys and values"),
            ("where: " + "[" * 40_000 + "]" * 40_000, "20 levels"),
            ("where: " + "{a: " * 40_000 + "1" + "}" * 40_000, "20 levels"),
            ("where: " + "- " * 40_000 + "a", "20 levels|not valid"),
            ("\n".join(" " * n + f"k{n}:" for n in range(1000)), "20 levels"),
            ("where: &a [*a, *a]", "5,000 keys and values"),
            ("a0: &a0 x\n" + "".join(f"a{n + 1}: &a{n + 1} [{f'*a{n}, ' * 9}]\n" for n in range(9)),
             "5,000 keys and values"),
            ("a0: &a0 {x: 1}\n"
             + "".join(f"a{n + 1}: &a{n + 1} {{<<: [{f'*a{n}, ' * 9}]}}\n" for n in range(9)),
             "5,000 keys and values"),
            ("x: " + "a" * 3_000_000, "1,000,000 bytes"),
            ("x: " + "é" * 3_000_000, "1,000,000 bytes"),
            ("# " + "a\n# " * 3_000_000, "1,000,000 bytes"),
        ],
    )  # fmt: skip
    def test_it_is_refused_after_little_work(self, tmp_path, text, says):
        import re

        file = tmp_path / "c.yaml"
        file.write_text(text)
        assert re.search(says, self.refused(file))

    def test_a_device_that_never_ends_is_refused(self):
        assert "1,000,000 bytes" in self.refused(Path("/dev/zero"))

    @pytest.mark.parametrize(
        "text",
        ["a: *b", "a: !!int ''", "a: !!bool x", "a: !!timestamp x", "a: !!map [1]", "a: !!x y"],
    )
    def test_values_that_are_none_are_errors(self, tmp_path, text):
        file = tmp_path / "c.yaml"
        file.write_text(text)
        assert "not valid YAML" in self.refused(file)

    def test_aliases_may_be_used(self, tmp_path):
        file = tmp_path / "c.yaml"
        file.write_text("seed: &s 3\nfilter: &f {seed: *s}\nmine: {<<: *f}\n")
        assert read_yaml(file) == {"seed": 3, "filter": {"seed": 3}, "mine": {"seed": 3}}


BYTES = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("command", "name"),
    [(command, name) for command, name in settings_of(str, Path, Literal, int, float, list, dict)],
)
def test_bytes_of_another_encoding_are_a_usage_error(command, name):
    value = f"corpus.text={BYTES}" if name == "column" else BYTES
    value = f"{BYTES}=2" if name == "quota" else f"a={BYTES}" if is_map(command, name) else value
    done = flagged(command, name, value)
    assert done.exit_code == 2, done.output
    assert "fault" not in done.output
    key = name.replace("_", "-")
    mapped = {BYTES: "b", "a": BYTES} if is_map(command, name) else BYTES
    assert key in problems(command, {name: mapped})
    assert key in problems(command, {name: [mapped]})


@pytest.mark.parametrize(
    "arguments",
    [
        ["filter", "--candidates", "c", "--output", "o", "--where", BYTES],
        ["filter", "--candidates", BYTES, "--output", "o"],
        ["filter", "--candidates", "c", "--output", "o", "--derive", f"{BYTES}=rank"],
        ["mine", "--index", "i", "--output", BYTES, "--pairs", "p"],
        ["export", "--mined", "m", "--output", "o", "--to", BYTES],
        ["inspect", BYTES],
        ["inspect", "m", "--query", BYTES],
        ["report", BYTES],
        ["init", BYTES],
        ["validate", BYTES],
        ["filter", "--config", BYTES],
        ["filter", f"--{BYTES}", "3"],
        ["filter", "--margin", BYTES],
        [BYTES],
    ],
)
def test_bytes_of_another_encoding_on_a_real_command_line(arguments, tmp_path):
    command = [sys.executable, "-m", "hnmine", *map(os.fsencode, arguments)]
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=strict)
    assert done.returncode == 2, done.stderr
    assert b"fault in hnmine" not in done.stderr
    assert b"Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_lone_surrogates_of_a_file_are_errors(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text('where: "a\\uD800"\ncandidates: c\noutput: o\n')
    with pytest.raises(UsageError, match=r"where: .* is not valid UTF-8"):
        settings_for("filter", read_yaml(file), {})
    file.write_text('"a\\uD800": 1\n')
    with pytest.raises(UsageError, match="no such setting"):
        settings_for("filter", read_yaml(file), {})


SECTIONS = {
    "batch": {"by": "greedy"},
    "generate": {"edit": ["date"], "corpus": "c"},
    "mix": {"by": ["mochi:1"]},
}
SHARED = [
    (stage, section, name)
    for section in SECTIONS
    for stage in ("build-index", "mine", "filter")
    for name in COMMANDS[stage].settings.model_fields
    if name in COMMANDS[section].settings.model_fields and name not in DIRECTORIES
]
VALUES: dict[str, Any] = {
    "clusters": 8, "threads": 1, "workers": 2, "engine": "ray", "ray_address": "auto",
    "max_memory": "1GB", "task": "0/2", "column": ["corpus.text=t"], "on_bad_row": "skip",
    "corpus": ["c"], "pairs": "p", "min_grade": 2.0, "seed": 3, "block_size": 7, "device": "cpu",
    "queries": "q", "qrels": "r", "top_k": 5, "split": "train", "quoting": "none",
    "encoding": "cp1252", "timeout": 9.0, "requests": 9, "api_key_env": "K", "vectors": "v",
}  # fmt: skip
TOGETHER = {"queries": {"qrels": "r"}, "qrels": {"queries": "q"}, "ray_address": {"engine": "ray"}}


@pytest.mark.parametrize(("stage", "section", "name"), SHARED)
def test_a_flag_that_a_stage_and_a_section_share_breaks_neither(stage, section, name):
    field = COMMANDS[stage].settings.model_fields[name]
    value = VALUES.get(name, not field.default)
    judged = name in ("queries", "qrels")
    file = {"output": "o", "corpus": "c", section: SECTIONS[section]}
    file |= {} if name == "vectors" else {"encoder": "e"}
    file |= {} if judged else {"pairs": "p"}
    for flags, top in (({name: value}, {}), ({}, {name: value})):
        more = TOGETHER.get(name, {})
        given = {**file, **top, **({} if flags else more)}
        flags = {**flags, **more} if flags else {}
        settings = {s.command: s for s in pipeline(given, flags).stages}
        found = optional(COMMANDS[section].settings, given, flags)
        assert getattr(settings[stage], name) in (value, {"corpus.text": "t"})
        if (section, name) == ("batch", "clusters"):
            assert found.clusters is None  # Clusters of queries are another thing.
        elif (section, name) == ("mix", "vectors"):
            assert found.vectors is False  # Whether to write vectors is another thing.
        else:
            assert getattr(found, name) in (value, {"corpus.text": "t"})


class TestRecipesByName:
    @pytest.mark.parametrize("name", RECIPES.own)
    def test_a_recipe_is_read_by_its_name(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path(name).mkdir()
        assert read_config(None, name) == read_yaml(recipe_file(name))
        assert len(RECIPES[name].description) > 20
        assert RECIPES[name].description.endswith(".")

    def test_what_is_given_wins_over_the_recipe_and_leaves_the_rest(self):
        recipe = read_yaml(recipe_file("nv-retriever-percpos"))
        assert recipe["filter"]["num-negatives"] == 4
        for given in ({"num_negatives": 7}, {"filter": {"num-negatives": 7}}):
            found = read_config(given, "nv-retriever-percpos")
            settings = settings_for("filter", found, FILTER)
            assert settings.num_negatives == 7
            assert settings.relative_margin == recipe["filter"]["relative-margin"]
        found = read_config({"num_negatives": 7}, "nv-retriever-percpos")
        assert settings_for("filter", found, {**FILTER, "num_negatives": 2}).num_negatives == 2

    @pytest.mark.parametrize("name", ["bgee", "recipes/bgee.yaml", "bgee.yml"])
    def test_another_name_is_a_usage_error_with_near_ones(self, name, tmp_path):
        result = hnmine("run", "--recipe", name, "--output", "o", cwd=tmp_path)
        assert result.returncode == 2
        assert f"There is no recipe '{name}'." in result.stderr
        assert "Did you mean bge?" in result.stderr

    def test_config_names_the_flag_for_recipes(self, tmp_path):
        result = hnmine("run", "--config", "bge", "--output", "o", cwd=tmp_path)
        assert result.returncode == 2
        assert "Pass --recipe bge." in result.stderr
        (tmp_path / "bge").write_text("seed: 3\n")
        assert read_config(tmp_path / "bge") == {"seed": 3}

    def test_a_path_into_the_package_is_no_name(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("../recipes/bge", "bge.yaml", "__init__"):
            with pytest.raises(UsageError, match="There is no recipe"):
                read_config(None, name)

    def test_they_are_listed_and_shown(self):
        listed = hnmine("recipes")
        assert listed.returncode == 0
        assert all(f"\n{name} " in f"\n{listed.stdout}" for name in RECIPES.own)
        shown = hnmine("recipes", "show", "bge")
        assert shown.stdout == recipe_file("bge").read_text()
        assert json.loads(hnmine("recipes", "--json").stdout).keys() == dict(RECIPES).keys()
        for wrong in (["show"], ["list", "bge"], ["show", "bgee"]):
            assert hnmine("recipes", *wrong).returncode == 2

    @pytest.mark.parametrize("key", ["action", "name", "recipes"])
    def test_a_file_holds_no_settings_of_the_list(self, key):
        with pytest.raises(UsageError, match=f"{key}: no such setting"):
            settings_for("filter", {key: "list"}, FILTER)


class TestInputsByPath:
    """`hnmine run corpus.parquet pairs.parquet`."""

    @pytest.fixture
    def files(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write(Path("c.parquet"), _id=["1"], text=["red"])
        write(Path("p.parquet"), query=["q"], positive=["red"])
        return ["p.parquet", "c.parquet"]

    def test_their_columns_say_what_they_are(self, files):
        file, flags = with_inputs({}, {}, files, recipe=False)
        assert flags == {"corpus": "c.parquet", "pairs": "p.parquet"}
        assert file == {"output": "runs/first", **MODELS}
        settings = pipeline(file, flags)
        assert settings.index.corpus == ["c.parquet"]
        assert settings.filter.output == Path("runs/first/mined")

    @pytest.mark.parametrize(
        ("file", "flags", "recipe", "models"),
        [
            ({}, {"encoder": "e"}, False, {}),
            ({"build-index": {"encoder": "e"}}, {}, False, {}),
            ({"filter": {"cross_encoder": "c"}}, {}, False, {}),
            ({}, {"dense": False}, False, {}),
            ({}, {"vectors": "v.npy"}, False, {}),
            ({"build-index": {"vectors": "v.npy"}}, {}, True, {}),
            ({"mix": {"vectors": True}}, {}, False, MODELS),
            ({}, {}, True, {"encoder": MODELS["encoder"]}),
        ],
    )
    def test_default_models_are_taken_only_where_none_is_named(
        self, files, file, flags, recipe, models
    ):
        found, _ = with_inputs(file, flags, files, recipe)
        assert found == {"output": "runs/first", **models, **file}

    def test_one_kind_twice_is_refused(self, files):
        for given, paths in (({}, [*files, "c.parquet"]), ({"corpus": "x"}, files)):
            with pytest.raises(UsageError, match="Two inputs are corpus"):
                with_inputs({}, given, paths, recipe=False)


def test_runs_share_an_index():
    file = {"corpus": "c.parquet", "pairs": "p.parquet", "encoder": "e"}
    for where in ({**file, "index": "i"}, file):
        flags = {"output": "o"} if "index" in where else {"output": "o", "index": "i"}
        settings = pipeline(where, flags)
        assert settings.index.index == settings.mine.index == Path("i")
        assert settings.filter.candidates == Path("o/candidates")
    settings = pipeline(file, {"output": "o"})
    assert settings.index.index == settings.mine.index == Path("o/index")


VECTORS_AND_MORE = {"corpus": "c", "vectors": "v.npy", "clusters": 8}


def test_a_key_that_two_commands_know_goes_to_the_one_that_it_means():
    index, mixed = {"index": "i"}, {"mined": "m", "output": "o"}
    assert settings_for("build-index", VECTORS_AND_MORE, index).vectors == "v.npy"
    assert settings_for("validate", VECTORS_AND_MORE, {}).vectors == "v.npy"
    file = {**VECTORS_AND_MORE, "by": ["mochi:1"]}
    assert settings_for("mix", file, mixed).vectors is False
    assert settings_for("mix", {**file, "mix": {"vectors": True}}, mixed).vectors is True
    greedy = settings_for("batch", {**VECTORS_AND_MORE, "by": "greedy"}, mixed)
    assert greedy.clusters is None

    written = {"corpus": "c", "vectors": True, "by": ["mochi:1"], "encoder": "e"}
    assert settings_for("mix", written, mixed).vectors is True
    assert settings_for("build-index", written, index).vectors is None
    assert settings_for("validate", written, {}).vectors is None


def test_the_section_of_run_is_read_and_its_keys_are_checked():
    file = {"corpus": "c", "pairs": "p", "dense": False, "output": "o", "num_negatives": 3}
    found = settings_for("run", {**file, "run": {"budget": "2h", "num-negatives": 4}}, {})
    assert found.budget == "2h"
    assert found.filter.num_negatives == 4
    assert settings_for("run", {**file, "run": {"budget": "2h"}}, {"budget": "1h"}).budget == "1h"
    with pytest.raises(UsageError, match=r"run\.bugdet: no such setting"):
        settings_for("run", {**file, "run": {"bugdet": "2h"}}, {})
    placed = settings_for("run", {**file, "run": {"output": "other"}}, {})
    assert placed.output == Path("other")


def test_a_run_without_anything_asks_for_input_files():
    with pytest.raises(UsageError, match=r"^Missing input files\.") as error:
        settings_for("run", {}, {})
    assert "`hnmine run corpus.parquet pairs.parquet`" in error.value.fix
    with pytest.raises(UsageError, match="Missing required option --output"):
        settings_for("run", {}, {"corpus": ["c"]})


def test_an_error_of_yaml_names_the_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("corpus: c\n  pairs: p\n")
    with pytest.raises(UsageError, match="not valid YAML") as error:
        read_config(file)
    assert "in mine.yaml, line 2, column 8" in error.value.why


def test_comments_of_a_configuration_keep_names_with_hyphens_whole():
    text = BuildIndexSettings.model_fields["dense"].description + " dense-from-positive" * 9
    lines = list(initialising._comment(text, "  "))
    assert len(lines) > 2
    assert not [line for line in lines if line.endswith("-")]
