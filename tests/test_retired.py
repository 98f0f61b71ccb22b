"""Settings and files of earlier versions: each names its successor, or opens without it."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import hnmine, rows, write

import hnmine as api
from hnmine.audit.auditing import audit
from hnmine.commands.configuration import settings_for
from hnmine.config import (
    AuditSettings,
    CompareSettings,
    FilterSettings,
    InspectSettings,
    ReportSettings,
    ReviewSettings,
)
from hnmine.config.setting import RETIRED, RETIRED_COMMANDS
from hnmine.errors import UsageError
from hnmine.exports import EXPORTS
from hnmine.relevance.learned import read_learned
from hnmine.report.comparing import compare
from hnmine.report.inspecting import inspect
from hnmine.report.reporting import report
from hnmine.review.reviewing import review
from hnmine.runner.manifest import markers_of, record

TOPICS = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Candidates of 24 queries, each with one of four documents of its topic as its positive."""
    root = tmp_path_factory.mktemp("retired")
    words = ["oak", "fox", "tin", "rye", "sea", "jam", "cup", "elk", "fig", "gem", "hay", "ink"]
    topics = [f"{one} {other}" for n, one in enumerate(words) for other in words[n + 1 : n + 3]]
    corpus = {
        f"d{t}-{n}": f"{topic} story {n} of the {words[(t + 3 * n) % 12]} and {n * 7 + t}"
        for t, topic in enumerate(topics)
        for n in range(4)
    }
    assert len(topics) >= TOPICS - 3
    corpus_file = write(root / "c.parquet", _id=list(corpus), text=list(corpus.values()))
    pairs = write(
        root / "p.parquet",
        query_id=[f"q{t}" for t in range(len(topics))],
        query=[f"a story of {topic}" for topic in topics],
        positive_id=[f"d{t}-0" for t in range(len(topics))],
        positive=[corpus[f"d{t}-0"] for t in range(len(topics))],
    )
    api.build_index(corpus=str(corpus_file), index=root / "i", dense=False, progress=False)
    mine = {"index": root / "i", "pairs": str(pairs), "progress": False}
    api.mine(output=root / "c", top_k=20, **mine)
    api.mine(output=root / "shallow", top_k=5, **mine)
    return root


class TestSettings:
    @pytest.mark.parametrize("name", RETIRED)
    def test_flags_keys_and_keywords_name_the_successor(self, name, tmp_path):
        key = name.replace("_", "-")
        for command in ("filter", "run"):
            done = hnmine(command, f"--{key}", "0.1", "--output", tmp_path / "m")
            assert done.returncode == 2
            assert done.stderr.startswith(f"error: --{key}: removed.")
            assert RETIRED[name] in done.stderr
            assert "No such option" not in done.stderr
        for file in ({key: 0.1}, {"filter": {key: 0.1}}):
            with pytest.raises(UsageError, match=re.escape(f"{key}: removed. {RETIRED[name]}")):
                settings_for("filter", {"output": "o", **file}, {})
        with pytest.raises(UsageError, match=f"^{name}: removed"):
            api.filter_negatives(candidates="c", output="o", **{name: 0.1})
        with pytest.raises(UsageError, match=f"^{name}: removed"):
            api.run(output=tmp_path / "r", **{name: 0.1})

    @pytest.mark.parametrize("name", RETIRED_COMMANDS)
    @pytest.mark.parametrize("line", [[], ["a", "b"], ["--before", "a"], ["--help"], ["-h"]])
    def test_a_command_names_its_successor(self, name, line):
        done = hnmine(name, *line)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: hnmine {name}: removed.")
        assert "`hnmine compare`" in done.stderr

    def test_the_list_of_commands_names_none(self):
        listed = hnmine("--help").stdout
        assert not [name for name in RETIRED_COMMANDS if f"  {name} " in listed]

    @pytest.mark.parametrize("name", RETIRED_COMMANDS)
    def test_a_function_and_a_section_name_the_successor(self, name):
        with pytest.raises(UsageError, match=f"{name}: removed.*hnmine compare"):
            getattr(api, name)("a", "b", queries=3)
        assert name not in dir(api)
        with pytest.raises(UsageError, match=f"^{name}: removed.*hnmine compare"):
            settings_for("filter", {"output": "o", name: {"queries": 3}}, {})

    @pytest.mark.parametrize("name", EXPORTS.retired)
    def test_a_format_names_its_successor(self, name, tmp_path):
        assert name not in EXPORTS
        for line in (
            ["export", "--mined", "m", "--to"],
            ["filter", "--candidates", "c", "--format"],
        ):
            done = hnmine(*line, name, "--output", tmp_path / "o")
            assert done.returncode == 2
            assert f"{name!r} was removed. `kd` writes PyLate's tables" in done.stderr
        with pytest.raises(UsageError, match=f"{name!r} was removed. `kd`"):
            api.export(mined="m", to=name, output=tmp_path / "o")
        with pytest.raises(UsageError, match=f"{name!r} was removed. `kd`"):
            settings_for("export", {"output": "o", "to": name}, {})

    def test_the_limit_on_the_chance_names_a_rule_on_relevance(self):
        with pytest.raises(UsageError, match="--where 'relevance <= X'"):
            FilterSettings.parse({"candidates": "c", "output": "o", "max_p_relevant": 0.5})

    def test_the_column_names_relevance(self, root, tmp_path):
        with pytest.raises(UsageError, match="relevance orders the candidates instead"):
            api.filter_negatives(
                candidates=root / "c", output=tmp_path / "m", where=["p_relevant < 0.5"]
            )


def aged(mined):
    """Rewrite a mined directory as an earlier version would have written it."""
    for file in (mined / "scored").glob("*.parquet"):
        table = pq.read_table(file)
        at = table.column_names.index("relevance") + 1
        chance = pa.array(np.linspace(0, 0.9, len(table)), pa.float32())
        pq.write_table(table.add_column(at, "p_relevant", chance), file)
    learned = json.loads((mined / "relevance.json").read_text())
    learned.pop("fitted")
    learned.pop("out_of_reach")
    cut = {"value": 1.5, "rate": 0.1, "low": 0.0, "high": 0.3, "positives": 24}
    point = {**cut, "candidates_left": 0.9, "yield": 1.0, "mean_rank": 4.0}
    learned |= {"share_of_relevant": 0.03, "cuts": {"": cut}, "cut_rule": "evidence < 1.5"}
    learned |= {"curve": [point]}
    (mined / "relevance.json").write_text(json.dumps(learned))
    numbers = {"rows": 9, "loss": 0.5, "push": 0.3, "easy": 0.1, "overtaken": 0.2, "origins": {}}
    hardness = {"verdict": "poisonous", "push_relevant": 0.25, **numbers}
    (mined / "hardness.json").write_text(json.dumps(hardness))
    manifest = json.loads((mined / "manifest.json").read_text())
    manifest["settings"] |= {
        "max_p_relevant": 0.5, "target_fn_rate": 0.1, "calibrate_by": None
    }  # fmt: skip
    (mined / "manifest.json").write_text(json.dumps(manifest))
    for path in markers_of(mined):
        marker = json.loads(path.read_text())
        for name in marker["outputs"]:
            marker["outputs"][name] = record(mined / name)
        path.write_text(json.dumps(marker))


def test_an_old_directory_opens_and_says_only_what_is_known(root, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for output in (old, new):
        api.filter_negatives(candidates=root / "c", output=output, progress=False)
    aged(old)
    assert read_learned(old / "relevance.json").price_of_depth >= 0
    found = report(ReportSettings.parse({"mined": old}))
    page = (old / "report.html").read_text().partition('id="settings"')[0]
    said = "\n".join(found.lines()) + page
    for word in ("poisonous", "p_relevant", "target-fn-rate", "push_relevant"):
        assert word not in said
    assert not audit(AuditSettings.parse({"mined": old})).estimates
    assert inspect(InspectSettings.parse({"mined": old})).queries
    assert compare(CompareSettings.parse({"mined": [old, new]})).changes.same > 0
    reviewed = review(ReviewSettings.parse({"mined": old, "page": False}))
    assert "target-fn-rate" not in reviewed.commands[0]
    assert "max-p-relevant" not in reviewed.commands[0]
    result = api.export(mined=old, to="tevatron", output=tmp_path / "e", progress=False)
    assert result.counts


class TestSaid:
    @pytest.mark.parametrize(
        ("given", "flags"),
        [
            ({"order": "-score"}, "--order"),
            ({"sampling": "random", "margin": 1.0}, "--sampling"),
            ({"order": "-score", "sampling": "exp(-score)"}, "--order and --sampling"),
            ({"margin": 1.0}, ""),
            ({"depth": 3.0}, ""),
        ],
    )
    def test_an_order_and_a_sampling_say_what_they_replace(self, root, tmp_path, given, flags):
        result = api.filter_negatives(
            candidates=root / "c", output=tmp_path / "m", progress=False, **given
        )
        said = [note for note in result.notes if "replaced the default choice" in note]
        assert [note.split(" replaced")[0] for note in said] == ([flags] if flags else [])
        if "margin" in given:
            table = rows(tmp_path / "m" / "scored")
            chosen = [row for row in table if row["selected"]]
            assert all(row["score"] <= row["positive_score"] - 1 for row in chosen)

    def test_a_depth_beyond_the_candidates_is_said(self, root, tmp_path):
        result = api.filter_negatives(
            candidates=root / "shallow", output=tmp_path / "m", depth=30, num_negatives=3
        )
        (note,) = (note for note in result.notes if "out of reach" in note)
        chosen = [row["rank"] for row in rows(tmp_path / "m" / "scored") if row["selected"]]
        says = f"Depth 30 is out of reach: negatives have mean rank {np.mean(chosen):.1f}"
        assert note.startswith(says)

    def test_a_depth_that_the_rules_forbid_is_said_and_the_nearest_are_not_taken(
        self, root, tmp_path
    ):
        given = {"candidates": root / "c", "num_negatives": 3, "depth": 4.0, "progress": False}
        api.filter_negatives(output=tmp_path / "free", **given)
        result = api.filter_negatives(output=tmp_path / "m", where=["rank >= 8"], **given)
        (note,) = (note for note in result.notes if "out of reach" in note)
        assert "the rules leave too few nearer ones" in note
        free, bound = (
            json.loads((tmp_path / name / "relevance.json").read_text()) for name in ("free", "m")
        )
        assert free["out_of_reach"] == ""
        # Not the highest price; that of shortcuts differs, as the rule leaves other candidates.
        assert bound["price_of_depth"] == pytest.approx(free["price_of_depth"], rel=0.5)
        assert free["price_of_depth"] < 10

    def test_the_price_is_set_on_what_the_rules_leave(self, root, tmp_path):
        given = {"candidates": root / "c", "num_negatives": 3, "depth": 9.0, "progress": False}
        for rule in ({}, {"where": ["rank % 2 = 0"]}, {"range_min": 3}, {"within": "rank < 18"}):
            result = api.filter_negatives(output=tmp_path / "m", overwrite=True, **given, **rule)
            chosen = [row["depth"] for row in rows(tmp_path / "m" / "scored") if row["selected"]]
            assert np.mean(chosen) == pytest.approx(9.0, abs=0.6), rule
            assert not any("out of reach" in note for note in result.notes)


def test_a_deepened_query_is_measured_by_its_shallow_list(root, tmp_path):
    """What stands in both lists has the same evidence, however deep the second one is."""
    rule = {"num_negatives": 4, "where": ["rank >= 2"], "order": "rank", "progress": False}
    api.filter_negatives(candidates=root / "shallow", output=tmp_path / "m", **rule)
    deep = api.filter_negatives(
        candidates=root / "shallow", output=tmp_path / "d", deepen=4, **rule
    )
    assert deep.counts["queries_deepened"] > 5
    before, after = (
        {(r["query_id"], r["doc_id"]): r["evidence"] for r in rows(tmp_path / name / "scored")}
        for name in ("m", "d")
    )
    assert len(after) > len(before)
    for pair, evidence in before.items():
        assert after[pair] == pytest.approx(evidence, abs=1e-5), pair
