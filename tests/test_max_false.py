"""`filter --max-false`: asks for verdicts, proves a bound by them, or says what is missing."""

from __future__ import annotations

import json
import math
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import content, write
from test_judging import Server, texts_in

import hnmine as api
from hnmine.errors import InputError, PartialRun, UsageError
from hnmine.guarantee.statement import read_guarantee
from hnmine.keyed_noise import keyed_noise, mixed
from hnmine.sheets.draw import EVEN
from hnmine.sheets.sheet import Sheet

SYLLABLES = ("ak", "el", "in", "or", "us", "ym", "ap", "et")
WORDS = [first + last for first in "bcdfghklmnprst" for last in SYLLABLES]
QUERIES = 120
CONTROLS = ("known positive", "random document")


def is_relevant(query_id, doc_id):
    """Both words of a topic make a document relevant, whatever else it says."""
    return doc_id.startswith(f"d{query_id.removeprefix('q')}-")


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    """Topics of two words: relevant documents have both, others one. A third is labelled badly."""
    root, rng = tmp_path_factory.mktemp("max-false"), np.random.default_rng(0)
    topics = [rng.choice(WORDS, 2, replace=False) for _ in range(QUERIES)]
    corpus = {}
    for topic, (first, second) in enumerate(topics):
        for n in range(3):
            both = f"{first} {second}" if n or topic % 3 else first
            corpus[f"d{topic}-{n}"] = f"{both} {' '.join(rng.choice(WORDS, 6))}"
        for n in range(12):
            one = (first, second)[n % 2]
            corpus[f"e{topic}-{n}"] = f"{one} {' '.join(rng.choice(WORDS, 7))}"
    ids = [f"q{topic}" for topic in range(QUERIES)]
    corpus_file = write(root / "c.parquet", _id=list(corpus), text=list(corpus.values()))
    queries = write(root / "q.parquet", _id=ids, text=[" ".join(topic) for topic in topics])
    known = {"query-id": ids, "corpus-id": [f"d{topic}-0" for topic in range(QUERIES)]}
    qrels = write(root / "r.parquet", **known, score=[1] * QUERIES)
    api.build_index(corpus=str(corpus_file), index=root / "i", dense=False)
    api.mine(index=root / "i", queries=str(queries), qrels=str(qrels), output=root / "c", top_k=40)
    return root / "c"


def judge(sheet, verdict=is_relevant, kinds=(EVEN,)):
    """Fill in the verdicts of some rows, as a person does."""
    there = Sheet.open(sheet)
    drawn = there.table["drawn"].to_pylist()
    verdicts = [
        float(verdict(*pair)) if how in kinds else None
        for pair, how in zip(there.pairs, drawn, strict=True)
    ]
    place = there.table.column_names.index("verdict")
    there.table = there.table.set_column(place, "verdict", pa.array(verdicts, pa.float64()))
    there._write(there.table)


def loop(candidates, output, turns=10, verdict=is_relevant, **settings):
    """Filter and judge in turns until the bound is proved."""
    for _ in range(turns):
        if not turn(candidates, output, verdict, settings):
            return
    raise AssertionError("The loop did not end.")


def turn(candidates, output, verdict, settings):
    """Filter once; judge what it asks for, and tell whether it asked."""
    asked = {"num_negatives": 4, "depth": 3, "max_false": 0.05} | settings
    try:
        api.filter_negatives(candidates=candidates, output=output, **asked)
    except PartialRun as error:
        if "more verdicts" not in error.what:
            raise
        judge(output.parent / f"{output.name}-verdicts.csv", verdict)
        return True
    return False


def chosen(mined):
    table = pq.read_table(mined / "scored")
    table = table.filter(table["selected"])
    return list(zip(table["query_id"].to_pylist(), table["doc_id"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def proved(candidates, tmp_path_factory):
    mined = tmp_path_factory.mktemp("proved") / "m"
    loop(candidates, mined, depth=6, max_false=0.2)
    return mined


class TestLoop:
    def test_the_bound_holds_and_is_stated(self, proved):
        pairs = chosen(proved)
        assert 0 < np.mean([is_relevant(*pair) for pair in pairs]) <= 0.2
        guarantee = read_guarantee(proved)
        assert guarantee.max_false == 0.2
        assert guarantee.judges == ["a person"]
        said = next(iter(guarantee.sentences()))
        assert (
            said == f"At most 20 % of the {len(pairs)} negatives are false, with 95 % confidence."
        )
        assert said in (proved / "README.md").read_text()

    def test_what_was_judged_relevant_is_left_out_and_not_replaced(self, proved):
        guarantee = read_guarantee(proved)
        assert guarantee.refuted
        assert all(is_relevant(*pair) for pair in guarantee.refuted)
        assert not set(guarantee.refuted) & set(chosen(proved))
        assert guarantee.written.negatives == len(chosen(proved)) + len(guarantee.refuted)
        table = pq.read_table(proved / "scored")
        reasons = dict(
            zip(
                zip(table["query_id"].to_pylist(), table["doc_id"].to_pylist(), strict=True),
                table["reason"].to_pylist(),
                strict=True,
            )
        )
        assert {reasons[pair] for pair in guarantee.refuted} == {"verdict"}

    def test_the_sample_can_be_drawn_again(self, proved):
        sheet = Sheet.open(proved.parent / "m-verdicts.csv")
        drawn = {
            pair
            for pair, how in zip(sheet.pairs, sheet.table["drawn"].to_pylist(), strict=True)
            if how == EVEN
        }
        guarantee = read_guarantee(proved)
        every = sorted(
            [*chosen(proved), *guarantee.refuted],
            key=lambda pair: int(mixed(keyed_noise(0, [pair[0]], [pair[1]]))[0]),
        )
        assert set(every[: guarantee.written.judged]) <= drawn

    def test_a_safer_choice_is_a_deeper_one_with_the_same_number(self, candidates, tmp_path):
        loose, strict = tmp_path / "loose", tmp_path / "strict"
        loop(candidates, loose, max_false=0.3)
        loop(candidates, strict, max_false=0.03)
        hard, safe = read_guarantee(loose), read_guarantee(strict)
        assert hard.written.mean_depth == hard.asked_depth == safe.asked_depth
        assert safe.written.mean_depth > safe.asked_depth
        assert "To prove it, deeper negatives were chosen" in " ".join(safe.sentences())
        assert safe.written.negatives == hard.written.negatives

    def test_of_another_choice_the_doubtful_are_left_out(self, candidates, tmp_path):
        loop(candidates, tmp_path / "m", order="-score", depth=None, range_min=2, max_false=0.1)
        guarantee = read_guarantee(tmp_path / "m")
        highest = [step.highest_relevance for step in guarantee.steps]
        assert highest[0] is not None
        assert highest == sorted(highest, key=lambda one: math.inf if one is None else one)
        assert np.mean([is_relevant(*pair) for pair in chosen(tmp_path / "m")]) <= 0.1
        table = pq.read_table(tmp_path / "m" / "scored")
        relevance = table.filter(table["selected"])["relevance"].to_numpy()
        if guarantee.written.highest_relevance is not None:
            assert relevance.max() <= guarantee.written.highest_relevance

    def test_positives_by_verdict(self, candidates, tmp_path):
        loop(candidates, tmp_path / "m", relabel_judged=True, depth=6, max_false=0.2)
        table = pq.read_table(tmp_path / "m" / "scored")
        refuted = read_guarantee(tmp_path / "m").refuted
        relabelled = table.filter(pa.compute.equal(table["reason"], "relabelled"))
        pairs = zip(*(relabelled[name].to_pylist() for name in ("query_id", "doc_id")), strict=True)
        assert sorted(pairs) == refuted
        assert set(relabelled["label"].to_pylist()) == {1}
        assert not any(relabelled["is_positive"].to_pylist())

    def test_verdicts_on_the_draw_do_not_change_which_queries_are_used(self, candidates, tmp_path):
        loop(
            candidates,
            tmp_path / "m",
            query_where="count(*) filter (where reason = 'verdict') = 0",
            depth=6,
            max_false=0.2,
        )
        guarantee = read_guarantee(tmp_path / "m")
        assert guarantee.refuted
        written = guarantee.written.negatives - len(guarantee.refuted)
        assert len(chosen(tmp_path / "m")) == written

    def test_with_a_cap_on_documents_too(self, candidates, tmp_path):
        loop(candidates, tmp_path / "m", max_uses=2)
        documents = [document for _, document in chosen(tmp_path / "m")]
        assert max(documents.count(document) for document in documents) <= 2
        state = {path.name for path in (tmp_path / "m" / ".hnmine").iterdir()}
        assert not {name for name in state if name.startswith(("draws", "uses"))}
        assert np.mean([is_relevant(*pair) for pair in chosen(tmp_path / "m")]) <= 0.05

    def test_later_verdicts_change_nothing_of_what_was_proved(self, proved, candidates, tmp_path):
        mined = tmp_path / "m"
        shutil.copytree(proved, mined)
        before = content(mined / "scored")
        for part in (mined / "scored").glob("*.parquet"):
            part.unlink()
        (mined / "manifest.json").unlink()
        sheet = tmp_path / "m-verdicts.csv"
        shutil.copy(proved.parent / "m-verdicts.csv", sheet)
        judge(sheet, lambda query, document: True)
        loop(candidates, mined, depth=6, max_false=0.2)
        assert content(mined / "scored") == before

    def test_a_lost_proof_is_not_replaced_beside_what_it_proved(self, proved, candidates, tmp_path):
        mined = tmp_path / "m"
        shutil.copytree(proved, mined)
        shutil.copy(proved.parent / "m-verdicts.csv", tmp_path / "m-verdicts.csv")
        (mined / "guarantee.json").unlink()
        for _ in range(2):
            with pytest.raises(InputError, match="lost the proof"):
                loop(candidates, mined, depth=6, max_false=0.2)
        shutil.rmtree(mined)
        loop(candidates, mined, depth=6, max_false=0.2)
        assert read_guarantee(mined) == read_guarantee(proved)

    def test_its_sheet_is_a_random_sample_of_what_was_written(self, candidates, tmp_path):
        """Though it also holds draws from choices that were not proved."""
        loop(candidates, tmp_path / "m", depth=1, max_false=0.1)
        assert not read_guarantee(tmp_path / "m").steps[-1].proved
        sheet = str(tmp_path / "m-verdicts.csv")
        audit = api.report(mined=tmp_path / "m", verdicts=sheet, html=False).audit
        assert not any("no random sample" in note for note in audit.notes)
        false = np.mean([is_relevant(*pair) for pair in chosen(tmp_path / "m")])
        assert audit.estimates["verdicts"].low <= false <= audit.estimates["verdicts"].high < 0.12

    def test_a_proof_of_another_directory_says_nothing(self, proved, candidates, tmp_path):
        api.filter_negatives(candidates=candidates, output=tmp_path / "m")
        shutil.copy(proved / "guarantee.json", tmp_path / "m")
        assert not api.report(mined=tmp_path / "m", html=False).audit.proved


class TestMissing:
    def test_the_first_run_asks_and_writes_nothing(self, candidates, tmp_path):
        with pytest.raises(PartialRun, match=r"m-verdicts\.csv needs \d+ more verdicts") as error:
            api.filter_negatives(candidates=candidates, output=tmp_path / "m", max_false=0.05)
        assert "hnmine judge" in error.value.fix
        assert not (tmp_path / "m" / "scored").exists()
        kinds = set(Sheet.open(tmp_path / "m-verdicts.csv").table["drawn"].to_pylist())
        assert kinds == {EVEN, *CONTROLS}

    def test_false_negatives_everywhere_prove_nothing(self, candidates, tmp_path):
        with pytest.raises(PartialRun, match=r"do not prove max_false=0\.05") as error:
            loop(candidates, tmp_path / "m", verdict=lambda *pair: True)
        assert "are relevant" in error.value.why
        assert not (tmp_path / "m" / "manifest.json").exists()

    def test_what_the_verdicts_do_prove_is_said(self, candidates, tmp_path):
        with pytest.raises(PartialRun, match="do not prove") as error:
            loop(candidates, tmp_path / "m", verdict=lambda query, document: document[-1] in "37")
        share = float(re.search(r"They prove at most ([\d.]+) %", error.value.why)[1])
        assert 17 < share < 35  # A sixth is relevant.
        assert "max_false" in error.value.fix

    def test_more_budget_goes_on_where_it_ended(self, candidates, tmp_path):
        with pytest.raises(PartialRun, match="do not prove"):
            loop(candidates, tmp_path / "m", budget=20)
        loop(candidates, tmp_path / "m")
        assert read_guarantee(tmp_path / "m")

    def test_a_smaller_budget_takes_what_is_proved(self, candidates, tmp_path):
        output, settings = tmp_path / "m", {"depth": 1, "max_false": 0.08}
        offer = None
        while offer is None:
            with pytest.raises(PartialRun) as error:
                api.filter_negatives(
                    candidates=candidates, output=output, num_negatives=4, **settings
                )
            offer = re.search(r"add budget=(\d+) to write", error.value.fix)
            if offer is None:
                judge(tmp_path / "m-verdicts.csv")
        assert not turn(candidates, output, None, settings | {"budget": int(offer[1])})
        assert read_guarantee(output).steps[0].proved
        assert not read_guarantee(output).steps[-1].proved

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"compat": "sentence-transformers"}, "max_false: cannot be combined"),
            ({"max_false": None, "judge_with": "pkg:x/y"}, "judge_with: needs"),
            ({"max_false": None, "relabel_judged": True}, "relabel_judged: needs"),
            ({"judge_llm": "name"}, "judge_llm: needs"),
            ({"output": "s3://bucket/m"}, "max_false: needs sheet"),
        ],
    )
    def test_settings_that_do_not_fit(self, candidates, tmp_path, settings, message):
        with pytest.raises(UsageError, match=message):
            api.filter_negatives(
                **{"candidates": candidates, "output": tmp_path / "m", "max_false": 0.05} | settings
            )

    def test_the_sheet_of_the_sample_cannot_choose(self, proved, candidates, tmp_path):
        sheet = tmp_path / "m-verdicts.csv"
        shutil.copy(proved.parent / "m-verdicts.csv", sheet)
        with pytest.raises(UsageError, match="is the sheet of"):
            loop(candidates, tmp_path / "m", judge=[str(sheet)])

    def test_verdicts_that_choose_are_no_draw(self, proved, candidates, tmp_path):
        """Without the relevant ones among them, the first pairs of a draw are no sample."""
        shutil.copy(proved.parent / "m-verdicts.csv", tmp_path / "judged.csv")
        with pytest.raises(PartialRun, match="more verdicts"):
            api.filter_negatives(
                candidates=candidates,
                output=tmp_path / "m",
                judge=[str(tmp_path / "judged.csv")],
                num_negatives=4,
                depth=6,
                max_false=0.2,
            )

        def drawn(sheet):
            there = Sheet.open(sheet)
            how = there.table["drawn"].to_pylist()
            return {pair for pair, one in zip(there.pairs, how, strict=True) if one == EVEN}

        before, now = drawn(tmp_path / "judged.csv"), drawn(tmp_path / "m-verdicts.csv")
        assert len(now & before) < len(now) / 2

    @pytest.mark.parametrize("verdict", [2.0, -1.0, math.inf])
    def test_a_verdict_that_is_none(self, candidates, tmp_path, verdict):
        with pytest.raises(InputError, match="the verdict on query q"):
            loop(candidates, tmp_path / "m", verdict=lambda *pair: verdict)

    def test_of_two_verdicts_on_a_pair_the_higher_counts(self, candidates, tmp_path):
        turn(candidates, tmp_path / "m", lambda *pair: True, {})
        sheet = Sheet.open(tmp_path / "m-verdicts.csv")
        again = sheet.table.set_column(
            sheet.table.column_names.index("verdict"), "verdict", pa.array([0.0] * len(sheet.table))
        )
        sheet.table = pa.concat_tables([sheet.table, again])
        sheet._write(sheet.table)
        with pytest.raises(PartialRun, match="do not prove"):
            loop(candidates, tmp_path / "m", turns=1)

    def test_no_negative(self, candidates, tmp_path):
        with pytest.raises(UsageError, match="no negative is chosen"):
            loop(candidates, tmp_path / "m", where=["bm25_rank > 1000"])

    @pytest.mark.parametrize("settings", [{"sheet": "x.txt"}, {"judge_with": "http://localhost"}])
    def test_what_cannot_work_is_said_before_any_work(self, candidates, tmp_path, settings):
        with pytest.raises(UsageError):
            loop(candidates, tmp_path / "m", **settings)
        assert not (tmp_path / "m" / "relevance.json").exists()


class TestMachine:
    """A server on this machine judges, and knows the truth."""

    def test_it_judges_in_the_same_run_and_is_measured(self, candidates, tmp_path):
        queries = pq.read_table(candidates.parent / "q.parquet").to_pydict()
        documents = pq.read_table(candidates.parent / "c.parquet").to_pydict()
        query_ids = dict(zip(queries["text"], queries["_id"], strict=True))
        doc_ids = dict(zip(documents["text"], documents["_id"], strict=True))

        def answer(body):
            query, document = texts_in(body)
            relevant = is_relevant(query_ids[query], doc_ids[document])
            said = json.dumps({"reason": "I know.", "grade": 3 if relevant else 0})
            return {"choices": [{"message": {"content": said}}]}

        with Server(answer) as server:
            loop(
                candidates,
                tmp_path / "m",
                turns=1,
                max_false=0.15,
                judge_with=server.url,
                judge_llm="words",
                budget=600,
            )
        guarantee = read_guarantee(tmp_path / "m")
        assert guarantee.judges == ["words"]
        assert guarantee.known_positives > 0
        said = " ".join(guarantee.sentences())
        assert f"{guarantee.hits} of {guarantee.known_positives} known positives" in said
        assert np.mean([is_relevant(*pair) for pair in chosen(tmp_path / "m")]) <= 0.15

    @pytest.mark.parametrize("lost", [[], ["judge"], ["verdict words"]])
    def test_its_verdicts_prove_nothing_without_known_positives(self, candidates, tmp_path, lost):
        asked = {"depth": 6, "max_false": 0.2}
        turn(candidates, tmp_path / "m", is_relevant, asked)
        there = Sheet.open(tmp_path / "m-verdicts.csv")
        table = there.table.filter(pa.compute.equal(there.table["drawn"], EVEN))
        table = table.drop_columns(["judge", "verdict"])
        for name in ("verdict", "verdict words"):
            table = table.append_column(name, pa.array(np.zeros(len(table))))
        table = table.append_column("judge", pa.array(["words"] * len(table)))
        there.table = table.drop_columns(lost)
        there._write(there.table)
        with pytest.raises(PartialRun, match="more verdicts"):
            api.filter_negatives(
                candidates=candidates, output=tmp_path / "m", num_negatives=4, **asked
            )

    def test_known_positives_of_another_collection_do_not_measure_it(self, candidates, tmp_path):
        def ask():
            with pytest.raises(PartialRun, match="more verdicts"):
                api.filter_negatives(candidates=candidates, output=tmp_path / "m", max_false=0.2)
            return Sheet.open(tmp_path / "m-verdicts.csv")

        there = ask()
        known = pa.compute.equal(there.table["drawn"], CONTROLS[0])
        number = pa.compute.sum(known).as_py()
        ids = pa.compute.if_else(known, "elsewhere", there.table["doc_id"])
        there.table = there.table.set_column(1, "doc_id", ids)
        there._write(there.table)
        assert ask().table["drawn"].to_pylist().count(CONTROLS[0]) == 2 * number
        assert ask().table["drawn"].to_pylist().count(CONTROLS[0]) == 2 * number

    def test_a_judge_that_says_no_to_all_proves_nothing(self, candidates, tmp_path):
        no = {"choices": [{"message": {"content": '{"reason": "no", "grade": 0}'}}]}
        with Server(lambda body: no) as server, pytest.raises(Exception, match="relevant"):
            loop(
                candidates,
                tmp_path / "m",
                turns=1,
                judge_with=server.url,
                judge_llm="no",
                budget=200,
            )
        assert not (tmp_path / "m" / "manifest.json").exists()
