"""Names of new columns, the sources that manifests list, and the last look at negatives."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, hnmine, rows, write

import hnmine as api
from hnmine import schema
from hnmine.config import FilterSettings, MineSettings, ReportSettings
from hnmine.directories.candidates import Candidates
from hnmine.directories.manifests import sources_of
from hnmine.directories.mined import Mined
from hnmine.errors import InputError, UsageError
from hnmine.extras.batches.false_negative_guard import check_batches
from hnmine.extras.batches.rows import Rows, write_rows
from hnmine.names import LAYOUT, REASONS, check_name, reserved
from hnmine.report.reporting import report
from hnmine.runner.manifest import markers_of, record
from hnmine.selection import rules as rules_module
from hnmine.selection.rules import by_text, reasons, rules
from hnmine.selection.verdicts import NOT_SCORED, RELABELLED, USED_UP
from hnmine.sources import SOURCES
from hnmine.sources.conditions import Facts

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath"]
WORDS += ["inlet", "jetty", "knoll", "lagoon"]
QUERIES = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Queries with three positives each, one of which has a copy; a query is a document too."""
    folder = tmp_path_factory.mktemp("data")
    ids, texts, pairs = [], [], []
    for n in range(QUERIES):
        one, other = WORDS[n % 12], WORDS[(n + 1 + n // 12) % 12]
        query = f"{one} and {other} {n}"
        answers = [f"the {one} near the {other} is number {n}", f"of {other} with {one} comes {n}"]
        answers.append("x" * (n + 1))  # No word leads there.
        ids += [f"d{n}a", f"d{n}b", f"d{n}c", f"d{n}copy", f"d{n}other"]
        texts += [*answers, answers[0].upper(), f"{one} {other} {other} without a number"]
        pairs += [
            (f"q{n}", query, f"d{n}{kind}", text) for kind, text in zip("abc", answers, strict=True)
        ]
    ids.append("asked")
    texts.append(pairs[0][1])
    length = [len(text) for text in texts]
    write(folder / "corpus.parquet", id=ids, text=texts, length=length, cluster=length)
    names = ("query_id", "query", "positive_id", "positive")
    columns = zip(*pairs, strict=True)
    write(folder / "pairs.parquet", **dict(zip(names, map(list, columns), strict=True)))
    corpus = str(folder / "corpus.parquet")
    api.build_index(corpus=corpus, index=folder / "words", dense=False)
    api.build_index(corpus=corpus, index=folder / "index", encoder=ENCODER)
    for index in ("words", "index"):
        mine(folder, folder / f"{index}-candidates", index=folder / index, top_k=12)
    return folder


def mine(data, output, **given):
    values = {"index": data / "words", "pairs": str(data / "pairs.parquet"), **given}
    return api.mine(**values, output=output)


@pytest.fixture
def candidates(data, tmp_path):
    """Candidates that may be changed."""
    return shutil.copytree(data / "index-candidates", tmp_path / "c")


ALL = {"default_rule": False, "num_negatives": 60, "near_copy": 2.0}
"""Settings that choose whatever no rule of ours drops."""


def change(directory, part, rewrite):
    """Change a file, and what the markers record of it: nothing else tells that it was."""
    pq.write_table(rewrite(pq.read_table(directory / part)), directory / part)
    for path in markers_of(directory):
        marker = json.loads(path.read_text())
        if part in marker["outputs"]:
            marker["outputs"][part] = record(directory / part)
            path.write_text(json.dumps(marker))


def with_values(table, query, document, **values):
    """Change columns in the row of a query and a document."""
    ids = zip(table["query_id"].to_pylist(), table["doc_id"].to_pylist(), strict=True)
    row = list(ids).index((query, document))
    for name, value in values.items():
        column = table[name].to_pylist()
        column[row] = value
        field = table.schema.field(name)
        place = table.column_names.index(name)
        table = table.set_column(place, field, pa.array(column, field.type))
    return table


def sources_of_negatives(mined):
    """The sources that found the negatives of a mined directory, as the report has them."""
    facts = report(ReportSettings.parse({"mined": mined, "html": False})).facts
    return {tuple(mix.sources) for mix in facts.mixes if mix.negatives}


NO_POSITIVE = {"is_positive": False, "is_query": False, "rank": 0, "near_copy": 0.0}


FLAGS = {
    "derive": lambda name: FilterSettings.parse(
        {"candidates": "c", "output": "o", "derive": {name: "false"}}
    ),
    "train-column": lambda name: FilterSettings.parse(
        {"candidates": "c", "output": "o", "train_column": [f"{name}=1"]}
    ),
    "attribute": lambda name: MineSettings.parse(
        {"index": "i", "pairs": "p", "output": "o", "attribute": {name: "1"}}
    ),
}


class TestNames:
    @pytest.mark.parametrize("flag", FLAGS)
    def test_every_name_of_ours_is_refused_in_any_case(self, flag):
        tables = (
            schema.CANDIDATES, schema.VERDICTS, schema.ESTIMATES, schema.SHORTFALL,
            schema.BATCHES, schema.MADE, schema.MIXED,
        )  # fmt: skip
        names = {name for table in tables for name in table.names}
        names |= {*SOURCES.own, *REASONS, "random_rank", "dense_from_positive_rank", "run_rank"}
        names |= {"previous_rank", "ce_score", "positive_similarity", "verdict", "negative_7"}
        names |= {"kind", "depth", "_row", "_candidate", "_0", "_undecided", "doc", "near_copy"}
        for name in names:
            for given in {name, name.upper(), name.title(), f"\uff4f{name[1:]}"[: len(name)]}:
                if given[0] == "\uff4f" and name[0] != "o":
                    continue
                with pytest.raises(UsageError, match=flag):
                    FLAGS[flag](given)

    @pytest.mark.parametrize("name", ["a\nb", "\u200blabel", 'x" from candidates --', "\x1b[1m"])
    def test_what_is_no_name_is_refused(self, name):
        for parse in FLAGS.values():
            with pytest.raises(UsageError, match="cannot be a name"):
                parse(name)
        with pytest.raises(ValueError, match="cannot be a name"):
            check_name(" ")

    def test_other_names_are_not_whatever_they_end_in(self):
        for name in ("page_rank", "click_score", "same topic", "große", "judge_me", "runtime"):
            for parse in FLAGS.values():
                parse(name)

    def test_two_that_differ_in_case_alone_are_refused(self):
        values = {"candidates": "c", "output": "o", "derive": {"gap": "1", "Gap": "2"}}
        with pytest.raises(UsageError, match="Gap is given twice"):
            FilterSettings.parse(values)

    def test_a_column_may_be_handed_on_to_the_trainer_under_its_own_name_alone(self):
        values = {"candidates": "c", "output": "o"}
        FilterSettings.parse({**values, "train_column": ["weight=weight", "negative_id=doc_id"]})
        for text in ("weight=1", "label=label", "Score=score"):
            with pytest.raises(UsageError, match="train-column"):
                FilterSettings.parse({**values, "train_column": [text]})

    def test_the_command_line_says_so(self, data, tmp_path):
        arguments = ("--candidates", data / "words-candidates", "--output", tmp_path / "m")
        found = hnmine("filter", *arguments, "--derive", "is_positive=false")
        assert found.returncode == 2
        assert "derive: hnmine itself uses the name is_positive" in found.stderr
        assert not (tmp_path / "m").exists()

    def test_every_reason_of_ours_is_a_name_of_ours(self):
        given = {"margin": 1.0, "relative_margin": 0.1, "max_score": 1.0, "min_score": 0.0}
        given |= {"range_min": 1, "candidates": "c", "output": "o"}
        assert {*rules(FilterSettings.parse(given))} <= {*REASONS}
        assert {RELABELLED, NOT_SCORED, USED_UP} <= {*REASONS} <= reserved()
        assert LAYOUT.fullmatch("negative_12")

    def test_an_attribute_is_no_column_of_a_run(self, data, tmp_path):
        run = tmp_path / "Page.trec"
        run.write_text("q0 Q0 d1a 1 2.0 tag\n")
        for name in ("run_page_rank", "Run_Page_Score"):
            with pytest.raises(UsageError, match=f"{name} is the name of a source's column"):
                mine(data, tmp_path / "c", from_run=[str(run)], attribute={name: "1"})

    def test_a_derived_column_is_no_attribute(self, data, tmp_path):
        mine(data, tmp_path / "c", attribute={"topic": "doc.length"})
        with pytest.raises(UsageError, match="derive TOPIC: the candidates already have"):
            api.filter(candidates=tmp_path / "c", output=tmp_path / "m", derive={"TOPIC": "1"})

    def test_a_judge_is_no_attribute(self, data, tmp_path):
        mine(data, tmp_path / "c", attribute={"judge_model": "doc.length"})
        with pytest.raises(UsageError, match="Two columns would be named judge_model"):
            api.filter(candidates=tmp_path / "c", output=tmp_path / "m", judge=[ENCODER])

    def test_candidates_that_have_a_column_twice_are_not_called_damaged(self, data, candidates):
        change(
            candidates, "candidates/00000.parquet", lambda t: t.append_column("Grade", t["grade"])
        )
        with pytest.raises(UsageError, match="Two columns would be named Grade") as caught:
            api.filter(candidates=candidates, output=candidates.parent / "m")
        assert "Mine again" in caught.value.fix

    def test_a_column_of_the_corpus_is_not_hidden_by_the_clusters(self, data):
        opened = Candidates(data / "words-candidates")
        documents = opened.index.documents
        with pytest.raises(UsageError, match="The corpus has a column cluster"):
            Facts(opened.queries, documents, {"doc": {"cluster": pa.array}})
        assert Facts(opened.queries, documents).documents is documents

    @pytest.mark.parametrize("role", ["id", "text"])
    def test_generated_texts_do_not_overwrite_the_corpus(self, tmp_path, role):
        names = {"id": "id", "text": "text", role: "Edit"}
        corpus = {names["id"]: ["d0"], names["text"]: ["it weighs 5 kg"]}
        write(tmp_path / "corpus.parquet", **corpus)
        write(tmp_path / "pairs.parquet", query=["weight"], positive=["it weighs 5 kg"])
        with pytest.raises(InputError, match="ids or texts in a column Edit"):
            api.generate(
                corpus=str(tmp_path / "corpus.parquet"),
                pairs=str(tmp_path / "pairs.parquet"),
                column={f"corpus.{role}": "Edit"},
                output=tmp_path / "g",
            )


class TestRules:
    TABLE = pa.table(
        {
            "is_positive": [True, False, False],
            "is_query": [False, False, False],
            "near_copy": pa.array([None, 0.0, 0.0], pa.float32()),
            "score": [3.0, 1.0, 2.0],
            "positive_score": [3.0, 3.0, 3.0],
            "positive": [True, False, True],
            "scored": [0, 1, 0],
        }
    )

    @pytest.mark.parametrize("text", ["positive", "not-scored"])
    def test_a_text_of_the_users_replaces_no_rule_and_gives_no_reason_of_ours(self, text):
        settings = FilterSettings.parse({"candidates": "c", "output": "o", "where": [text]})
        asked = [*rules(settings).items(), *by_text(settings.where)]
        kept = 2 if text == "positive" else 1
        found = reasons(self.TABLE, asked).tolist()
        assert found[0] == "positive"
        assert found[kept] == rules_module.KEPT or text == "not-scored"
        assert f"({text})" in found and set(found) - {"positive", "", f"({text})"} == set()


class TestSources:
    def test_an_attribute_that_nothing_asks_for_changes_no_negative(self, data, tmp_path):
        chosen = []
        for name in ("page_rank", "length_of_it"):
            mine(data, tmp_path / name, top_k=4, attribute={name: "doc.length"})
            output = tmp_path / f"{name}-m"
            api.filter(candidates=tmp_path / name, output=output, num_negatives=2)
            negatives = [row for row in rows(output / "scored") if row["selected"]]
            chosen.append([(row["query_id"], row["doc_id"]) for row in negatives])
            learned = json.loads((output / "relevance.json").read_text())
            chosen[-1].append(learned["positives"])
        assert chosen[0] == chosen[1]

    def test_manifests_list_them_and_readers_go_by_the_list(self, data, tmp_path):
        mine(data, tmp_path / "c", attribute={"page_rank": "1", "page_score": "2.5"})
        api.filter(candidates=tmp_path / "c", output=tmp_path / "m", default_rule=False)
        assert json.loads((tmp_path / "m" / "manifest.json").read_text())["sources"] == ["bm25"]
        with Mined(tmp_path / "m").sql(1) as scored:
            assert "page_rank" in scored.columns
            assert scored.sources == ["bm25"]
            assert scored.scores == ["bm25_score"]
        assert sources_of_negatives(tmp_path / "m") == {("bm25",)}
        origins = json.loads((tmp_path / "m" / "hardness.json").read_text()).get("origins", {})
        assert {*origins} <= {"bm25"}

    def test_without_a_list_they_are_those_of_the_settings(self):
        old = {"settings": {"source": ["random:5", "run", "dense-from-positive"]}}
        assert sources_of(old | {"runs": {"run_x": "hash"}}) == [
            "random",
            "dense_from_positive",
            "run_x",
        ]
        assert sources_of({"settings": {"matching": "true"}, "scores": ["bm25"]}) == [
            "matching",
            "bm25",
        ]
        assert sources_of({"settings": {"source": []}}) == ["bm25", "dense"]

    def test_an_old_directory_is_read_by_that_of_its_candidates(self, data, tmp_path):
        mine(data, tmp_path / "c", attribute={"page_rank": "1"})
        api.filter(candidates=tmp_path / "c", output=tmp_path / "m", default_rule=False)
        manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
        del manifest["sources"]
        (tmp_path / "m" / "manifest.json").write_text(json.dumps(manifest))
        with Mined(tmp_path / "m").sql(1) as scored:
            assert scored.sources == ["bm25"]
        assert sources_of_negatives(tmp_path / "m") == {("bm25",)}


class TestLastLook:
    """A column that was changed must not make a negative of what is known."""

    @pytest.mark.parametrize(
        ("query", "document", "becomes", "message"),
        [
            ("q3", "d3b", {}, "'d3b' .* 'q3', and it is its known positive"),
            ("q3", "d3a", {"doc_id": "d3copy"}, "'d3copy' .* 'q3', and it is a copy of"),
            ("q0", "asked", {}, "'asked' .* 'q0', and it is the query itself"),
        ],
    )
    def test_filter_refuses(self, candidates, tmp_path, query, document, becomes, message):
        documents = Candidates(candidates).index.documents
        if becomes:
            becomes["doc_row"] = int(documents.find_ids([becomes["doc_id"]])[0])
        values = NO_POSITIVE | becomes
        part = "candidates/00000.parquet"
        change(candidates, part, lambda table: with_values(table, query, document, **values))
        with pytest.raises(InputError, match=message):
            api.filter(candidates=candidates, output=tmp_path / "m", **ALL)
        assert not list((tmp_path / "m").glob("train/*"))

    def test_filter_refuses_ids_of_other_rows(self, candidates, tmp_path):
        part = "candidates/00000.parquet"
        change(candidates, part, lambda t: with_values(t, "q3", "d3a", doc_id="d4other"))
        with pytest.raises(InputError, match="damaged") as caught:
            api.filter(candidates=candidates, output=tmp_path / "m", **ALL)
        assert "doc_id" in caught.value.why

    def test_filter_refuses_in_deeper_parts_too(self, candidates, tmp_path):
        given = {"candidates": candidates, "deepen": 2, **ALL}
        api.filter(**given, output=tmp_path / "m")
        (deeper,) = (candidates / "deeper").iterdir()
        part = "candidates/00000.parquet"
        change(deeper, part, lambda table: with_values(table, "q5", "d5b", **NO_POSITIVE))
        with pytest.raises(InputError, match=r"'d5b' .* 'q5', and it is its known positive"):
            api.filter(**given, output=tmp_path / "again")

    @pytest.fixture
    def mined(self, candidates, tmp_path):
        api.filter(
            candidates=candidates, output=tmp_path / "m", default_rule=False, num_negatives=2
        )
        return tmp_path / "m"

    @pytest.mark.parametrize("to", ["triplet", "trec", "msmarco", "tevatron-ids", "dpr", "beir"])
    def test_export_refuses(self, mined, tmp_path, to):
        values = {"label": 0, "place": 0, "selected": True}
        change(mined, "scored/00000.parquet", lambda t: with_values(t, "q7", "d7b", **values))
        with pytest.raises(InputError, match=r"'d7b' .* 'q7', and it is its known positive"):
            api.export(mined=mined, to=to, output=tmp_path / "x")

    def test_mix_refuses(self, mined, tmp_path):
        values = {"label": 0, "place": 0, "selected": True, "rank": 0}
        change(mined, "scored/00000.parquet", lambda t: with_values(t, "q7", "d7b", **values))
        with pytest.raises(InputError, match=r"'d7b' .* 'q7', and it is its known positive"):
            api.mix(mined=mined, output=tmp_path / "x")

    def test_batch_refuses_rows(self, mined, tmp_path):
        def rewrite(table):
            return table.set_column(2, "negative", table["positive"])

        (part,) = (mined / "train").glob("*.parquet")
        change(mined, f"train/{part.name}", rewrite)
        with pytest.raises(InputError, match="and it is its known positive"):
            api.batch(mined=mined, output=tmp_path / "x", by="random", batch_size=4)

    def test_batch_refuses_what_stands_in_one(self, mined, tmp_path):
        opened = Candidates(tmp_path / "c")
        write_rows(Mined(mined), tmp_path / "rows", lambda done: None)
        table = Rows(tmp_path / "rows", len(opened.index.documents.canonical))
        first = np.unique(table.query, return_index=True)[1]
        check_batches(table, first[:1], np.zeros(1, np.int64), opened, mined)
        # Each row a batch of its own is fine, and so is none.
        check_batches(table, first, np.arange(len(first)), opened, mined)
        same = np.flatnonzero(table.query == table.query[0])
        other = same[np.flatnonzero(table.slots[same, 0] != table.slots[same[0], 0])[0]]
        with pytest.raises(InputError, match="its known positive"):
            check_batches(table, np.array([same[0], other]), np.zeros(2, np.int64), opened, mined)

    def test_no_expression_lets_a_query_stand_in_a_batch_as_a_document(self, data, tmp_path):
        # "asked" is the text of q0 and a negative of others.
        api.filter(
            candidates=data / "index-candidates",
            output=tmp_path / "m",
            order="case when doc_id = 'asked' then 0 else 1 end",
            near_copy=2.0,
            num_negatives=1,
        )
        api.batch(
            mined=tmp_path / "m", output=tmp_path / "b", by="random", batch_size=40, guard="true"
        )
        found = rows(tmp_path / "b" / "train")
        text = rows(data / "pairs.parquet")[0]["query"]
        asked = {row["batch"] for row in found if row["query"] == text}
        shown = {row["batch"] for row in found if row["negative"] == text}
        assert shown and not asked & shown

    def test_generate_leaves_out_the_query_itself(self, tmp_path):
        write(tmp_path / "p.parquet", query=["is it on?"], positive=["the lamp is on"])
        write(tmp_path / "w.parquet", query=["is it on?"] * 2, text=["Is it  ON?", "it is off"])
        result = api.generate(
            pairs=str(tmp_path / "p.parquet"),
            written=str(tmp_path / "w.parquet"),
            output=tmp_path / "g",
        )
        assert [row["text"] for row in rows(tmp_path / "g" / "generated.parquet")] == ["it is off"]
        assert result.counts["dropped_as_query"] == 1
