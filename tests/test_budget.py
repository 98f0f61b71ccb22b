"""`run --budget` chooses settings that fit by the estimates of `validate`, and keeps the choice."""

from __future__ import annotations

import json
import sys
from itertools import pairwise

import numpy as np
import pytest
from conftest import CROSS_ENCODER, ENCODER, hnmine, write
from hypothesis import given
from hypothesis import strategies as st

from hnmine.commands.configuration import settings_for
from hnmine.errors import UsageError
from hnmine.validate.dry_run import dry_run
from hnmine.validate.forecast import Costs, Load
from hnmine.validate.options import Option, Work, fitting, options
from hnmine.validate.within_budget import (
    RECORD,
    allowed,
    estimated,
    seconds_of,
    within_budget,
)

TREES = ["ash", "birch", "cedar", "elm", "fir", "hazel", "maple", "oak", "pine", "rowan"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> list[object]:
    """The flags of a small run with two models."""
    root = tmp_path_factory.mktemp("inputs")
    texts = [f"The {tree} of garden {n} is {n + 3} years old." for n in range(6) for tree in TREES]
    pairs = write(
        root / "pairs.parquet", query=[f"Which garden has {t[4:9]}?" for t in texts[:8]],
        positive=texts[:8],
    )  # fmt: skip
    corpus = write(root / "corpus.parquet", text=texts)
    return [
        *(corpus, pairs, "--encoder", ENCODER, "--cross-encoder", CROSS_ENCODER),
        *("--device", "cpu", "--threads", 1, "--max-length", 32),
    ]


def stages(inputs, output, **more):
    corpus, pairs, *_ = inputs
    flags = {
        "corpus": [str(corpus)], "pairs": str(pairs), "encoder": ENCODER, "device": "cpu",
        "cross_encoder": CROSS_ENCODER, "threads": 1, "max_length": 32, "progress": False,
        "output": output, **more,
    }  # fmt: skip
    return settings_for("run", {}, flags).stages


@st.composite
def works(draw) -> Work:
    unit = st.floats(1e-9, 1.0)
    names = Costs.__dataclass_fields__
    costs = Costs(**{name: draw(unit) for name in names})
    load = Load(
        documents=1000, distinct=draw(st.integers(1, 10**6)), queries=draw(st.integers(1, 10**5)),
        dense=True, judged=draw(st.booleans()),
    )  # fmt: skip
    return Work(
        load, costs, draw(st.integers(1, 8)), draw(st.integers(1, 200)), 2,
        draw(st.integers(1, 20)), draw(st.booleans()), draw(st.integers(1, 10**6)),
    )  # fmt: skip


@given(works(), st.lists(st.floats(0, 1e9), min_size=2, max_size=20))
def test_a_larger_budget_never_gives_up_more(work, budgets):
    found = options(work)
    assert (found[0].changes, found[0].gives_up) == ({}, [])
    chosen = [fitting(found, seconds) for seconds in sorted(budgets)]
    ranks = [len(found) if option is None else found.index(option) for option in chosen]
    assert all(one >= other for one, other in pairwise(ranks))
    for option, seconds in zip(chosen, sorted(budgets), strict=True):
        assert option is None or option.time_seconds == work.seconds(option.changes) <= seconds


@given(works())
def test_the_cross_encoder_goes_last_and_every_change_names_what_it_costs(work):
    found = options(work)
    judged = ["cross_encoder" not in option.changes for option in found]
    assert judged == sorted(judged, reverse=True)
    for option in found:
        assert len(option.gives_up) == len(option.changes) == option.flags.count("--")
        assert "None" not in option.flags
        assert not option.changes.keys() & {"lazy", "cross_encoder"} or work.load.judged


@pytest.mark.parametrize(
    "text, seconds", [("90m", 5400), ("2h", 7200), ("1d", 86400), ("1.5 h", 5400)]
)
def test_the_words_of_a_budget(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["2w", "h", "-1h", "1e3h", "2h30m", "٢h", "", "2 hours"])
def test_other_words_are_refused(text):
    with pytest.raises(UsageError, match="is no time"):
        seconds_of(text)


@pytest.mark.parametrize(
    "flags, may",
    [
        ({}, True),
        ({"order": "rank"}, True),
        ({"where": ["franking > 2"]}, True),
        ({"where": ["bm25_rank > 5", "rrf_score > 0"]}, False),
        ({"where": ["rrf_score > 0", "RANK > 5"]}, False),
        ({"order": "-rank"}, False),
        ({"derive": {"deep": "dense_rank is null"}}, False),
        ({"quota": {"bm25_rank < 10": 2}}, False),
        ({"strata": "rank() over (order by rrf_score)"}, False),
        ({"within": "percent_rank() over (order by rrf_score) > 0.5"}, False),
        ({"sampling": "1 / rank"}, False),
        ({"weight": "1 / rank"}, False),
        ({"relabel": "rank = 1"}, False),
        ({"per_query": "min(rank)"}, False),
        ({"query_where": "max(rank) > 40"}, False),
        ({"train_column": {"spot": "rank"}}, False),
    ],
)
def test_the_depth_changes_only_where_no_expression_counts_ranks(inputs, tmp_path, flags, may):
    fewer = Option({"top_k": 30}, "--top-k 30", ["depth"], 1.0)
    found = allowed(stages(inputs, tmp_path, **flags), [fewer])
    assert found == ([fewer] if may else [])


@pytest.mark.parametrize(
    "model, flags, may",
    [
        (CROSS_ENCODER, {}, True),
        ("http://localhost:9/v1#r", {}, False),
        ("http://localhost:9/v1#r", {"min_score": 0.1}, False),
        ("http://localhost:9/v1#r", {"relative_margin": 0.05}, True),
        ("http://localhost:9/v1#r", {"max_score": 0.9}, True),
    ],
)
def test_lazy_implies_no_margin_for_the_scores_of_a_server(inputs, tmp_path, model, flags, may):
    lazy = Option({"lazy": True}, "--lazy", ["scores"], 1.0)
    found = allowed(stages(inputs, tmp_path, cross_encoder=model, **flags), [lazy])
    assert found == ([lazy] if may else [])


def test_estimates_are_those_of_validate(inputs, tmp_path):
    corpus, pairs, *flags = inputs
    done = hnmine("validate", corpus, pairs, *flags, "--no-progress", "--json")
    assert done.returncode == 0, done.stderr
    said = [option["changes"] for option in json.loads(done.stdout)["options"]]
    assert {"lazy": True} in said
    assert {"cross_encoder": None} in said
    assert said[0] == {}
    found = estimated(stages(inputs, tmp_path / "run"))
    assert said == [option.changes for option in found]
    # A rule on the cross-encoder's logits means nothing without it.
    ruled = allowed(stages(inputs, tmp_path / "run", margin=2.0), found)
    assert not any("cross_encoder" in option.changes for option in ruled)
    drawn = allowed(stages(inputs, tmp_path / "run", sampling="random"), found)
    assert not any(option.changes.keys() & {"lazy", "cross_encoder"} for option in drawn)


def test_a_choice_is_kept_for_the_same_command(inputs, tmp_path):
    run = tmp_path / "run"
    none = hnmine("run", *inputs, "--output", run, "--budget", "0m", "--no-progress")
    assert none.returncode == 2
    assert "No settings fit in --budget 0m" in none.stderr
    assert not (run / "index").exists()
    assert not (run / RECORD).exists()

    command = ("run", *inputs, "--output", run, "--budget", "1d", "--no-progress")
    first = hnmine(*command)
    assert first.returncode == 0, first.stderr
    assert "the run as given" in first.stderr
    record = json.loads((run / RECORD).read_text())
    assert (record["changes"], record["budget"]) == ({}, "1d")
    again = hnmine(*command)
    assert again.returncode == 0, again.stderr
    assert "is kept" in again.stderr

    # Had the first run chosen otherwise, the second would follow it, whatever it estimates.
    other = tmp_path / "other"
    other.mkdir()
    record["changes"] = {"top_k": 12, "lazy": True}
    (other / RECORD).write_text(json.dumps(record))
    for _ in range(2):
        done = hnmine(*command[:-4], other, *command[-3:])
        assert done.returncode == 0, done.stderr
    mined = json.loads((other / "candidates" / "manifest.json").read_text())
    assert mined["settings"]["top_k"] == 12
    assert json.loads((other / "mined" / "manifest.json").read_text())["settings"]["lazy"]

    record["changes"] = {"output": "/"}
    (other / RECORD).write_text(json.dumps(record))
    damaged = hnmine(*command[:-4], other, *command[-3:])
    assert damaged.returncode == 3
    assert "damaged" in damaged.stderr


@pytest.fixture
def chosen(monkeypatch) -> list[int]:
    """Grows by one whenever settings are chosen; nothing is timed."""
    found: list[int] = []

    def choose(*_: object) -> Option:
        found.append(len(found))
        return Option({"top_k": 20 + len(found)}, "--top-k", ["depth"], 1.0)

    # The function hnmine.validate hides the package from a dotted name.
    monkeypatch.setattr(sys.modules["hnmine.validate.within_budget"], "_choose", choose)
    return found


@pytest.mark.parametrize("changed", ["corpus", "pairs", "queries", "qrels", "vectors"])
def test_a_choice_is_kept_for_the_same_inputs_alone(tmp_path, chosen, changed):
    def put(name: str, more: str) -> str:
        path = tmp_path / f"{name}.parquet"
        columns = {
            "corpus": {"id": ["1"], "text": [f"An ash{more}"]},
            "pairs": {"query": ["Is it tall?"], "positive": [f"An elm{more}"]},
            "queries": {"id": ["1"], "text": [f"Which tree?{more}"]},
            "qrels": {"query_id": ["1"], "doc_id": ["1"], "score": [1 + len(more)]},
            "vectors": {"id": ["1"], "vector": [[1.0, 2.0 + len(more)]]},
        }  # fmt: skip
        return str(write(path, **columns[name]))

    judged = changed in ("queries", "qrels")
    names = ["corpus", "vectors", *(("queries", "qrels") if judged else ("pairs",))]
    flags = {name: put(name, "") for name in names}
    flags |= {"output": tmp_path / "run", "query_encoder": "e", "progress": False}

    def top_k(**more: object) -> int:
        given = settings_for("run", {}, {**flags, **more}).stages
        return within_budget(given, "1h", tmp_path / "run")[1].top_k

    assert (top_k(), top_k()) == (21, 21)
    put(changed, ", which is tall")
    assert (top_k(), top_k()) == (22, 22)
    assert (top_k(overwrite=True), top_k()) == (23, 23)


@pytest.mark.parametrize("model", [CROSS_ENCODER, "http://localhost:9/v1#r"])
def test_judges_that_are_not_timed_are_refused(inputs, tmp_path, model):
    given = stages(inputs, tmp_path, judge=[model])
    with pytest.raises(UsageError, match=r"--budget cannot be combined with --judge"):
        within_budget(given, "1h", tmp_path)
    assert not (tmp_path / RECORD).exists()


def test_files_of_verdicts_take_no_time(inputs, tmp_path, chosen):
    sheet = write(tmp_path / "v.parquet", query_id=["1"], doc_id=["1"], score=[1.0])
    given = stages(inputs, tmp_path, judge=[str(sheet)])
    assert within_budget(given, "1h", tmp_path / "run")[1].top_k == 21


def timed(monkeypatch, module: str) -> list[object]:
    """Give units of work fixed costs, and return the dimensions that they are asked for."""
    asked: list[object] = []

    def costs(*_: object, dimension: object, **__: object) -> Costs:
        asked.append(dimension)
        return Costs(bm25=1000.0, dense=3000.0)

    monkeypatch.setattr(sys.modules[f"hnmine.validate.{module}"], "unit_costs", costs)
    return asked


@pytest.mark.parametrize(
    "dense, bm25",
    [("vectors", True), ("vectors", False), ("encoder", True), ("encoder", False), (None, True)],
)
def test_the_indexes_that_are_searched_are_those_that_are_timed(
    inputs, tmp_path, monkeypatch, dense, bm25
):
    np.save(tmp_path / "v.npy", np.ones((60, 24), np.float32))
    more = {"encoder": ENCODER, "vectors": str(tmp_path / "v.npy")}
    flags = {"cross_encoder": None, "encoder": None, "dense": dense is not None, "bm25": bm25}
    flags |= {dense: more[dense], "query_encoder": ENCODER} if dense else {}
    asked = timed(monkeypatch, "estimates")
    given = stages([str(one) for one in inputs], tmp_path / "run", **flags)
    [option, *_] = estimated(given)
    assert asked == [{"vectors": 24, "encoder": 384, None: None}[dense]]
    searched = 8 * 60 * (1000.0 * bm25 + 3000.0 * (dense is not None))
    assert option.time_seconds == pytest.approx(searched, rel=0.1)


def test_a_dry_run_counts_vectors_from_files(inputs, tmp_path, monkeypatch):
    np.save(tmp_path / "v.npy", np.ones((60, 24), np.float32))
    more = {"encoder": None, "cross_encoder": None, "vectors": str(tmp_path / "v.npy")}
    more |= {"query_encoder": ENCODER}
    asked = timed(monkeypatch, "dry_run")
    cut, whole = (
        dry_run(stages(inputs, tmp_path / "run", truncate_dim=size, **more)).stages
        for size in (16, None)
    )
    assert asked == [16, 24]
    disk = [found["build-index"]["disk_bytes"] for found in (cut, whole)]
    assert disk[1] - disk[0] == 60 * 8 * 4
    assert whole["mine"]["time_seconds"] > 1000


def test_a_number_still_limits_the_judgements_and_a_file_may_hold_a_time(tmp_path):
    flags = {"output": tmp_path, "corpus": ["c"], "pairs": "p", "dense": False}
    assert settings_for("run", {}, {**flags, "budget": "300"}).filter.budget == 300
    timed = settings_for("run", {"budget": "2h"}, flags)
    assert (timed.budget, timed.filter.budget) == ("2h", 400)
    alone = {"candidates": tmp_path, "output": tmp_path}
    assert settings_for("filter", {"budget": "2h"}, alone).budget == 400
