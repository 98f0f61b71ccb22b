from __future__ import annotations

import csv
import http.client
import json
import re
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import hnmine, rows, write
from held import HANG

import hnmine as api
from hnmine.audit.auditing import audit
from hnmine.audit.estimate import of_sheet
from hnmine.config import AuditSettings, ReviewSettings
from hnmine.errors import InputError, UsageError
from hnmine.inputs.table_reader import Table
from hnmine.judges.verdict_file import read_verdicts
from hnmine.review.doubtful import DISAGREEMENT, NARROWLY, NEGATIVES, PER_QUERY
from hnmine.review.reviewing import review
from hnmine.sheets.draw import EVEN, Draw, draw_order
from hnmine.sheets.sheet import Sheet, count

NAN = float("nan")
WORDS = ["oak", "fox", "tin", "rye", "sea", "jam", "cup", "elk", "fig", "gem"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Topics of six documents, of which one is a known positive; a second score to disagree."""
    root = tmp_path_factory.mktemp("review")
    topics = [f"{a} {b}" for a in WORDS[:6] for b in WORDS[5:]]
    corpus = {
        f"d{t}-{n}": f'{topic} story {n}, about the {WORDS[(t + n) % 10]}\nand "{n * 7 + t}"'
        for t, topic in enumerate(topics)
        for n in range(6)
    }
    ids = [f"q{t}" for t in range(len(topics))]
    corpus_file = write(root / "c.parquet", _id=list(corpus), text=list(corpus.values()))
    queries = write(root / "q.parquet", _id=ids, text=[f"the story of {topic}" for topic in topics])
    qrels = {"query-id": ids, "corpus-id": [f"d{t}-0" for t in range(len(topics))]}
    judged = write(root / "qrels.parquet", **qrels, score=[1] * len(ids))
    api.build_index(corpus=str(corpus_file), index=root / "i", dense=False)
    api.mine(index=root / "i", queries=str(queries), qrels=str(judged), output=root / "c", top_k=20)
    return root


@pytest.fixture(scope="module")
def mined(root):
    rule = {"where": ["relevance < 1.5"]}  # It drops some.
    api.filter(candidates=root / "c", output=root / "m", num_negatives=3, depth=0, **rule)
    return root / "m"


def given(mined, tmp_path, **settings):
    known = {"mined": mined, "sheet": tmp_path / "s.csv", "page": False}
    return ReviewSettings.parse(known | settings)


def sheet_rows(path):
    return list(csv.DictReader(path.open(encoding="utf-8", newline="")))


def fill(path, judge):
    """Write the verdicts of someone who knows."""
    sheet = Sheet.open(path)
    for n, pair in enumerate(sheet.pairs):
        sheet.judge(n, judge(*pair))


def same_topic(query_id, doc_id):
    return float(doc_id.startswith(f"d{query_id[1:]}-"))


class TestChoice:
    def test_the_doubtful_of_each_kind_then_an_even_draw_of_negatives(self, mined, tmp_path):
        review(given(mined, tmp_path, doubtful=30, even=20))
        found = sheet_rows(tmp_path / "s.csv")
        drawn = [row["drawn"] for row in found]
        assert drawn.count(EVEN) == 20
        assert drawn.count(NEGATIVES) >= drawn.count(NARROWLY) > 0
        assert {row["fate"] for row in found if row["drawn"] in (EVEN, NEGATIVES)} == {"negative"}
        assert len({(row["query_id"], row["doc_id"]) for row in found}) == len(found) == 50
        scored = {(row["query_id"], row["doc_id"]): row for row in rows(mined / "scored")}
        doubts = [row["relevance"] for row in scored.values() if row["selected"]]
        doubtful = [float(row["relevance"]) for row in found if row["drawn"] == NEGATIVES]
        assert max(doubtful) == pytest.approx(max(doubts))
        for row in found:
            known = scored[row["query_id"], row["doc_id"]]
            assert known["selected"] == (row["fate"] == "negative")
            assert not known["is_positive"]
            assert row["positive"] and row["query"] and row["verdict"] == ""

    def test_a_number_of_doubtful_ones_is_what_is_asked(self, mined, tmp_path):
        reviewed = review(given(mined, tmp_path, doubtful=20))
        drawn = [row["drawn"] for row in sheet_rows(tmp_path / "s.csv")]
        assert len(drawn) == 20
        assert EVEN not in drawn
        assert not any("were found" in note for note in reviewed.notes)
        more = review(given(mined, tmp_path, sheet=tmp_path / "t.csv", doubtful=5000, even=0))
        found = len(sheet_rows(tmp_path / "t.csv"))
        assert found < 5000
        assert f"{found} of 5000 doubtful candidates were found: at most 3 of one query" in str(
            more.notes
        )

    def test_even_rows_are_in_the_order_of_their_draw_with_its_seed(self, mined, tmp_path):
        review(given(mined, tmp_path, doubtful=10, even=40, seed=3))
        found = sheet_rows(tmp_path / "s.csv")
        even = [(row["query_id"], row["doc_id"]) for row in found if row["drawn"] == EVEN]
        assert {row["seed"] for row in found if row["drawn"] == EVEN} == {"3"}
        doubtful = [(row["query_id"], row["doc_id"]) for row in found if row["drawn"] != EVEN]
        chosen = [
            (row["query_id"], row["doc_id"])
            for row in rows(mined / "scored")
            if row["selected"] and (row["query_id"], row["doc_id"]) not in doubtful
        ]
        order = draw_order(3, *map(list, zip(*chosen, strict=True)))
        assert even == [chosen[n] for n in order[:40]]
        # Half of the doubtful ones are among the first half, for those who stop early.
        assert sum(row["drawn"] != EVEN for row in found[:25]) == 5

    def test_rows_of_a_query_stand_together_and_one_query_does_not_fill_the_sheet(
        self, mined, tmp_path
    ):
        review(given(mined, tmp_path, doubtful=90, even=0))
        found = sheet_rows(tmp_path / "s.csv")
        queries = [row["query_id"] for row in found]
        changes = sum(a != b for a, b in pairwise(queries))
        assert changes == len(set(queries)) - 1
        kinds = [(row["query_id"], row["drawn"]) for row in found]
        assert max(kinds.count(kind) for kind in kinds) <= PER_QUERY

    def test_judges_disagree_where_one_is_above_the_positives_and_another_below(
        self, root, tmp_path
    ):
        # The other system puts every candidate below the positives.
        found = rows(root / "c" / "candidates")
        write(
            tmp_path / "other.parquet",
            query_id=[row["query_id"] for row in found],
            corpus_id=[row["doc_id"] for row in found],
            score=[50.0 if row["is_positive"] else min(row["bm25_score"], 49) for row in found],
        )
        api.mine(
            index=root / "i",
            queries=str(root / "q.parquet"),
            qrels=str(root / "qrels.parquet"),
            from_run=[str(tmp_path / "other.parquet")],
            output=tmp_path / "c",
            top_k=20,
        )
        api.filter(candidates=tmp_path / "c", output=tmp_path / "m", num_negatives=3)
        review(given(tmp_path / "m", tmp_path, doubtful=24, even=0))
        scored = rows(tmp_path / "m" / "scored")
        lowest = {row["query_id"]: row["bm25_score"] for row in scored if row["is_positive"]}
        disagreed = {
            (row["query_id"], row["doc_id"]): row["relevance"]
            for row in scored
            if not row["is_positive"] and row["bm25_score"] > lowest[row["query_id"]]
        }
        found = sheet_rows(tmp_path / "s.csv")
        asked = {(row["query_id"], row["doc_id"]): row["drawn"] for row in found}
        doubted = {pair for pair, drawn in asked.items() if drawn == DISAGREEMENT}
        assert doubted
        assert doubted <= disagreed.keys()
        # The likeliest first, unless it was asked for another reason.
        assert max(disagreed, key=disagreed.get) in asked

    def test_the_same_again_and_parquet_too(self, mined, tmp_path):
        review(given(mined, tmp_path))
        first = (tmp_path / "s.csv").read_bytes()
        review(given(mined, tmp_path))
        assert (tmp_path / "s.csv").read_bytes() == first
        review(given(mined, tmp_path, sheet=tmp_path / "s.parquet"))
        table = pq.read_table(tmp_path / "s.parquet")
        texts = [{k: row[k] for k in ("query_id", "document")} for row in table.to_pylist()]
        assert texts == [
            {k: row[k] for k in ("query_id", "document")} for row in sheet_rows(tmp_path / "s.csv")
        ]


class TestSheet:
    def test_what_a_person_added_stays_and_no_verdict_is_lost_when_rows_join(self, mined, tmp_path):
        review(given(mined, tmp_path, doubtful=5, even=0))
        path = tmp_path / "s.csv"
        found = sheet_rows(path)
        for row in found:
            row |= {"verdict": "0.25", "remark": 'quoted "so", and\nmore'}
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, found[0])
            writer.writeheader()
            writer.writerows(found)
        reviewed = review(given(mined, tmp_path, doubtful=5, even=7))
        assert reviewed.counts == {"rows": 12, "judged": 5, "relevant": 0}
        assert sheet_rows(path)[:5] == found

    def test_it_is_whole_or_not_there(self, mined, tmp_path, monkeypatch):
        review(given(mined, tmp_path))
        before = (tmp_path / "s.csv").read_bytes()
        sheet = Sheet.open(tmp_path / "s.csv")

        def full(table, path):
            path.write_text("half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("pyarrow.csv.write_csv", full)
        with pytest.raises(OSError, match="No space"):
            sheet.judge(0, 1)
        assert (tmp_path / "s.csv").read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["s.csv"]

    def test_another_file_is_refused_and_kept(self, mined, tmp_path):
        other = tmp_path / "s.csv"
        other.write_text("query_id,doc_id,verdict\nq0,d1,1\n")
        with pytest.raises(InputError, match="not a sheet") as error:
            review(given(mined, tmp_path))
        assert "document or query" in error.value.why
        assert other.read_text().endswith("q0,d1,1\n")
        with pytest.raises(UsageError, match=r"does not end in \.csv or \.parquet"):
            review(given(mined, tmp_path, sheet=tmp_path / "s.xlsx"))


class TestEstimate:
    def test_what_is_judged_is_known_and_the_rest_is_like_the_even_sample(self):
        # 100 negatives: 10 doubtful, 4 of them relevant; 20 drawn evenly, 2 of them relevant.
        verdicts = np.full(100, NAN)
        verdicts[:10] = [1] * 4 + [0] * 6
        verdicts[10:30] = [1] * 2 + [0] * 18
        found = of_sheet(verdicts, Draw(90, 20, 20, 2))
        assert found.rate == pytest.approx((4 + 2 + 70 * 0.1) / 100)
        assert found.low < found.rate < found.high
        assert (found.negatives, found.known) == (100, 30)
        # All judged: nothing is left to estimate.
        verdicts[30:] = 0
        known = of_sheet(verdicts, Draw(90, 90, 90, 2))
        assert known.rate == known.low == known.high == 0.06

    def test_doubtful_ones_that_are_not_judged_widen_the_interval(self):
        verdicts = np.full(50, NAN)
        verdicts[10:] = 0
        found = of_sheet(verdicts, Draw(40, 40, 40, 0), waiting=10)
        assert (found.low, found.rate, found.high) == (0, 0.1, 0.2)

    def test_without_an_even_sample_there_are_only_bounds(self):
        verdicts = np.array([1, 0] + [NAN] * 8)
        found = of_sheet(verdicts, Draw(8, 0, 0, 0))
        assert (found.low, found.high) == (0.1, 0.9)
        assert np.isnan(found.rate)

    def test_the_interval_holds(self):
        rng = np.random.default_rng(7)
        inside = 0
        for _ in range(400):
            relevant = rng.random(300) < np.where(np.arange(300) < 40, 0.5, 0.06)
            verdicts = np.full(300, NAN)
            even = 40 + rng.choice(260, 50, replace=False)
            verdicts[:40], verdicts[even] = relevant[:40], relevant[even]
            found = of_sheet(verdicts, Draw(260, 50, 50, int(relevant[even].sum())))
            inside += found.low <= relevant.mean() <= found.high
        assert inside >= 380

    def test_the_loop_drops_relabels_and_the_estimate_stays_true(self, root, mined, tmp_path):
        sheet = tmp_path / "s.csv"
        reviewed = review(given(mined, tmp_path, doubtful=40, even=30))
        assert np.isnan(reviewed.audit.estimates["verdicts"].rate)
        fill(sheet, same_topic)
        reviewed = review(given(mined, tmp_path, doubtful=40, even=30))
        chosen = [row for row in rows(mined / "scored") if row["selected"]]
        true = np.mean([same_topic(row["query_id"], row["doc_id"]) for row in chosen])
        by_verdicts = reviewed.audit.estimates["verdicts"]
        assert by_verdicts.low <= true <= by_verdicts.high
        assert true > 0.1

        command, check = reviewed.commands
        again = hnmine(*_arguments(command, tmp_path / "again"))
        assert again.returncode == 0, again.stderr
        relevant = {pair for pair, v in _verdicts(sheet).items() if v == 1}
        after = {(r["query_id"], r["doc_id"]): r for r in rows(tmp_path / "again" / "scored")}
        assert relevant
        assert all(after[pair]["label"] == 1 for pair in relevant)
        # Those judged in the even draw are dropped; it still tells of those that nobody judged.
        settings = AuditSettings.parse(
            {"mined": tmp_path / "again", "verdicts": str(sheet), "shortcuts": False}
        )
        audited = audit(settings)
        found = audited.estimates["verdicts"]
        chosen = [row for row in after.values() if row["selected"]]
        left = np.mean([same_topic(row["query_id"], row["doc_id"]) for row in chosen])
        assert found.low <= left <= found.high
        # What replaced the dropped ones was never drawn.
        assert np.isnan(found.rate)
        assert "no random sample" in audited.notes[0]
        assert check == f"hnmine report {mined}-reviewed --verdicts {sheet}"

        # Another round goes on in the same sheet, with what nobody has judged.
        more = review(ReviewSettings.parse({"mined": tmp_path / "again", "page": False, "even": 5}))
        assert more.sheet == sheet
        assert more.counts["judged"] == 70 < more.counts["rows"]
        fill(sheet, same_topic)
        estimate = audit(settings).estimates["verdicts"]
        assert estimate.low <= left <= estimate.high < found.high
        assert more.commands[0].count("--judge") == more.commands[0].count("--relabel") == 1


def _arguments(command, output):
    words = shlex.split(command.replace("\\\n", " "))[1:]
    words[words.index("--output") + 1] = str(output)
    return words


def _verdicts(path):
    sheet = Sheet.open(path)
    return dict(zip(sheet.pairs, sheet.verdicts, strict=True))


class Page:
    """What a browser does."""

    def __init__(self, url):
        self.url = urlsplit(url)

    def ask(self, where="", body=None, host=None, path=None, kind="application/json", origin=None):
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=HANG)
        headers = {"Host": host or self.url.netloc}
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = kind
        if origin:
            headers["Origin"] = origin
        path = path or self.url.path + where
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


@contextmanager
def serving(mined, sheet, *more):
    command = [sys.executable, "-m", "hnmine", "review", str(mined), "--sheet", str(sheet), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline()
        assert said.startswith("Judge at http://127.0.0.1:"), said + process.stderr.read()
        yield process, Page(re.search(r"http\S+", said)[0])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_page_is_served_and_every_verdict_is_on_the_disk_before_it_is_answered(
    mined, tmp_path, ending
):
    sheet = tmp_path / f"s.{ending}"
    with serving(mined, sheet, "--json") as (process, page):
        status, html, headers = page.ask()
        assert status == 200
        assert b"<title>hnmine review</title>" in html
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        items = json.loads(page.ask("items.json")[1])
        assert len(items) == 100
        assert all(item["verdict"] is None and item["document"] for item in items)
        for row, verdict in ((0, 1), (3, 0), (5, 1), (5, None)):
            assert page.ask("verdict", {"row": row, "verdict": verdict})[0] == 200
            assert Sheet.open(sheet).verdicts[row] == verdict
        assert page.ask("done", {})[0] == 200
        out, errors = process.communicate(timeout=HANG)
    assert process.returncode == 0, errors
    result = json.loads(out)
    assert result["counts"] == {"rows": 100, "judged": 2, "relevant": 1}
    assert result["sheet"] == str(sheet)
    assert result["estimates"]["verdicts"]["known"] <= 2


def test_ctrl_c_ends_it_and_nothing_is_lost(mined, tmp_path):
    with serving(mined, tmp_path / "s.csv") as (process, page):
        for row in range(10):
            assert page.ask("verdict", {"row": row, "verdict": row % 2})[0] == 200
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=HANG)
    assert process.returncode == 0, errors
    assert "hnmine filter" in out
    assert count(Sheet.open(tmp_path / "s.csv")) == {"rows": 100, "judged": 10, "relevant": 5}


def test_only_whoever_has_the_url_and_came_for_it_is_answered(mined, tmp_path):
    with serving(mined, tmp_path / "s.csv") as (_, page):
        for refused in (
            {"path": "/"},
            {"path": "/items.json"},
            {"path": "/" + "x" * 22 + "/items.json"},
            {"host": f"evil.example:{page.url.port}", "where": "items.json"},
            {"host": "evil.example", "where": "verdict", "body": {"row": 0, "verdict": 1}},
            {"where": "../verdict", "body": {"row": 0, "verdict": 1}},
            {"where": "passwd"},
        ):
            status, body, _ = page.ask(**refused)
            assert status == 404, refused
            assert b"document" not in body
        tokenless = {"path": "/verdict", "body": {"row": 0, "verdict": 1}}
        assert page.ask(**tokenless)[0] == 404
        form = {"where": "verdict", "body": b"row=0&verdict=1", "kind": "text/plain"}
        assert page.ask(**form)[0] == 415
        for body in (
            b"",
            b"{",
            b"[]",
            b"null",
            {"row": 0},
            {"row": 100, "verdict": 1},
            {"row": -1, "verdict": 1},
            {"row": True, "verdict": 1},
            {"row": 0, "verdict": 2},
            {"row": 0, "verdict": True},
            {"row": 0, "verdict": "1"},
            b" " * 5000,
        ):
            status, said, _ = page.ask("verdict", body)
            assert status == 400, body
            assert json.loads(said)["error"].startswith("Not a verdict")
        assert page.ask("items.json", host=f"localhost:{page.url.port}")[0] == 200
    assert count(Sheet.open(tmp_path / "s.csv"))["judged"] == 0


def test_a_disk_that_is_full_is_told_to_the_page_and_the_next_verdict_is_taken(mined, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    with serving(mined, folder / "s.csv") as (_, page):
        folder.rename(tmp_path / "there")
        status, said, _ = page.ask("verdict", {"row": 0, "verdict": 1})
        assert status == 500
        assert "No such file" in json.loads(said)["error"]
        (tmp_path / "there").rename(folder)
        assert json.loads(page.ask("items.json")[1])[0]["verdict"] is None
        assert page.ask("verdict", {"row": 1, "verdict": 1})[0] == 200
    assert Sheet.open(folder / "s.csv").verdicts[:2] == [None, 1]


def test_a_port_that_is_taken_is_explained(mined, tmp_path):
    with serving(mined, tmp_path / "s.csv") as (_, page):
        arguments = ["--sheet", tmp_path / "t.csv", "--port", page.url.port]
        done = hnmine("review", mined, *arguments)
    assert done.returncode == 3
    assert f"Cannot listen on port {page.url.port}." in done.stderr
    assert "--port" in done.stderr


def test_texts_that_are_gone_are_an_error_that_says_where_to_look(mined, tmp_path):
    with pytest.raises(InputError, match="candidates"):
        review(given(mined, tmp_path, candidates=tmp_path / "gone"))


def test_nothing_to_judge_is_said_and_no_sheet_is_written(mined, tmp_path):
    with pytest.raises(UsageError, match="left to judge"):
        review(given(mined, tmp_path, doubtful=0, even=0))
    assert not (tmp_path / "s.csv").exists()


def edit(path, change):
    """Save a sheet as an editor does, which knows of no lock."""
    found = sheet_rows(path)
    found = change(found) or found
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)


def judge(page, row, verdict):
    status, said, _ = page.ask("verdict", {"row": row, "verdict": verdict})
    assert status == 200, said
    return json.loads(said)


def pair(path, row):
    return Sheet.open(path).pairs[row]


class TestOthersAtTheSameSheet:
    def test_two_reviews_of_one_sheet_keep_each_others_verdicts(self, mined, tmp_path):
        sheet = tmp_path / "s.csv"
        with serving(mined, sheet) as (_, one), serving(mined, sheet) as (_, other):
            for row in range(0, 20, 2):
                judge(one, row, 1)
                said = judge(other, row + 1, 0)
                assert said["verdicts"] == {str(row): 1.0}  # The page learns of the other's.
                assert said["notes"] == []
        assert Sheet.open(sheet).verdicts[:21] == [1, 0] * 10 + [None]
        assert [file.name for file in tmp_path.iterdir()] == ["s.csv"]

    def test_two_at_the_same_moment_lose_nothing(self, mined, tmp_path):
        sheet = tmp_path / "s.csv"
        with serving(mined, sheet) as (_, one), serving(mined, sheet) as (_, other):
            rows_of = {one: range(0, 30, 2), other: range(1, 30, 2)}
            with ThreadPoolExecutor(2) as pool:
                for done in [
                    pool.submit(lambda p, n: [judge(p, row, 1) for row in n], *item)
                    for item in rows_of.items()
                ]:
                    done.result()
        assert Sheet.open(sheet).verdicts[:31] == [1] * 30 + [None]

    def test_of_two_verdicts_on_one_row_the_later_wins_and_both_are_told(self, mined, tmp_path):
        sheet = tmp_path / "s.csv"
        with serving(mined, sheet) as (_, one), serving(mined, sheet, "--json") as (ended, other):
            judge(one, 0, 1)
            (note,) = judge(other, 0, 0)["notes"]
            assert note == (
                f"{pair(sheet, 0)[0]}, {pair(sheet, 0)[1]}: the sheet was changed meanwhile to "
                "verdict 1; verdict 0, given last, replaces that."
            )
            said = judge(one, 1, 1)
            assert "to verdict 0; it replaces verdict 1, given here before." in said["notes"][0]
            assert said["verdicts"] == {"0": 0.0}
            assert judge(one, 2, 1)["notes"] == []  # Said once.
            assert Sheet.open(sheet).verdicts[:3] == [0, 1, 1]
            other.ask("done", {})
            out, _ = ended.communicate(timeout=HANG)
        assert json.loads(out)["notes"] == [note]

    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_what_an_editor_changed_meanwhile_stays(self, mined, tmp_path, ending):
        sheet = tmp_path / f"s.{ending}"

        def changed():
            theirs = Sheet.open(sheet).table
            verdicts = [0.5 if n == 7 else v for n, v in enumerate(theirs["verdict"].to_pylist())]
            place = theirs.column_names.index("verdict")
            theirs = theirs.set_column(place, "verdict", pa.array(verdicts, pa.float64()))
            theirs = theirs.append_column("remark", pa.array(["mine"] * len(theirs)))
            Sheet(tmp_path / f"new.{ending}", theirs.take(list(range(99, -1, -1)))).save()
            (tmp_path / f"new.{ending}").replace(sheet)

        with serving(mined, sheet) as (_, page):
            pairs = Sheet.open(sheet).pairs
            judge(page, 0, 1)
            changed()  # Also the order of the rows.
            said = judge(page, 1, 0)
            assert said == {"notes": [], "verdicts": {"7": 0.5}}
        found = Sheet.open(sheet)
        verdicts = dict(zip(found.pairs, found.verdicts, strict=True))
        assert [verdicts[pairs[n]] for n in (0, 1, 2, 7)] == [1, 0, None, 0.5]
        assert found.pairs == pairs[::-1]
        assert set(found.table["remark"].to_pylist()) == {"mine"}

    def test_an_older_copy_and_lost_rows_take_no_verdict_away(self, mined, tmp_path):
        sheet = tmp_path / "s.csv"
        with serving(mined, sheet, "--json") as (process, page):
            judge(page, 0, 1)
            before = sheet.read_bytes()
            judge(page, 1, 0)
            sheet.write_bytes(before)
            (note,) = judge(page, 2, 1)["notes"]
            assert "to no verdict; verdict 0, given here, is put back" in note
            edit(sheet, lambda found: found[50:])
            judge(page, 3, 1)
            assert Sheet.open(sheet).table.num_rows == 100
            sheet.write_bytes(before)
            page.ask("done", {})
            out, errors = process.communicate(timeout=HANG)
        assert process.returncode == 0, errors
        assert Sheet.open(sheet).verdicts[:5] == [1, 0, 1, 1, None]
        assert json.loads(out)["counts"] == {"rows": 100, "judged": 4, "relevant": 3}
        assert len(json.loads(out)["notes"]) > 1

    def test_a_verdict_that_somebody_takes_back_or_changes_later_counts(self, mined, tmp_path):
        sheet = tmp_path / "s.csv"
        with serving(mined, sheet) as (_, page):
            judge(page, 0, 1)
            edit(sheet, lambda found: found[0].update(verdict="0"))
            assert judge(page, 1, 1)["verdicts"] == {"0": 0.0}
            judge(page, 0, None)
            judge(page, 2, 1)
        assert Sheet.open(sheet).verdicts[:3] == [None, 1, 1]

    def test_an_unreadable_sheet_is_told_and_the_verdicts_are_kept(self, mined, tmp_path):
        sheet = tmp_path / "s.csv"
        with serving(mined, sheet) as (process, page):
            judge(page, 0, 1)
            sheet.write_text("not;a sheet\n")
            for _ in range(2):
                status, said, _ = page.ask("verdict", {"row": 1, "verdict": 1})
                assert status == 500
                assert "is not a sheet" in json.loads(said)["error"]
                assert "s-kept-1.csv" in json.loads(said)["error"]
            assert sheet.read_text() == "not;a sheet\n"
            assert Sheet.open(tmp_path / "s-kept-1.csv").verdicts[:2] == [1, None]
            page.ask("done", {})
            _, errors = process.communicate(timeout=HANG)
        assert process.returncode == 3
        assert "s-kept-1.csv" in errors
        assert sorted(f.name for f in tmp_path.iterdir()) == ["s-kept-1.csv", "s.csv"]

    def test_a_sheet_that_comes_back_gets_all_verdicts(self, mined, tmp_path):
        sheet = tmp_path / "s.csv"
        with serving(mined, sheet) as (_, page):
            empty = sheet.read_bytes()
            judge(page, 0, 1)
            sheet.write_bytes(b"\xff\xfe broken")
            assert page.ask("verdict", {"row": 1, "verdict": 1})[0] == 500
            sheet.write_bytes(empty)
            judge(page, 2, 0)
            sheet.unlink()
            judge(page, 3, 0)
        assert Sheet.open(sheet).verdicts[:5] == [1, None, 0, 0, None]

    def test_audit_overwrites_no_verdicts(self, mined, tmp_path):
        sheet = tmp_path / "s.csv"
        asked = {"mined": mined, "sample": 5, "sheet": sheet, "shortcuts": False}
        audit(AuditSettings.parse(asked))
        audit(AuditSettings.parse(asked))
        Sheet.open(sheet).judge(0, 1)
        with pytest.raises(UsageError, match="1 verdicts"):
            audit(AuditSettings.parse(asked))
        other = tmp_path / "notes.csv"
        other.write_text("a,b\n1,2\n")
        with pytest.raises(InputError, match="not a sheet"):
            audit(AuditSettings.parse(asked | {"sheet": other}))
        assert other.read_text() == "a,b\n1,2\n"


def test_a_page_of_another_site_is_refused_even_with_the_token(mined, tmp_path):
    with serving(mined, tmp_path / "s.csv") as (process, page):
        own = f"http://{page.url.netloc}"
        for origin, status in (("http://evil.example", 404), ("null", 404), (own, 200)):
            answer = page.ask("verdict", {"row": 0, "verdict": 1}, origin=origin)
            assert answer[0] == status, origin
        assert page.ask("verdict", b"[" * 1000)[0] == 400
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=HANG)
    assert "Traceback" not in errors


FORMULAS = ["=1+1", "+1", "-1 below", "@SUM(A1)", "'=x", "''-y", "' quoted'", "\tx", " =z", "plain"]


def test_a_sheet_holds_no_formula_and_comes_back_as_it_was(tmp_path):
    texts = [*FORMULAS, '=cmd|" /C calc"!A0', "\uff1dx", "'", "a\n=b"]
    columns = {name: texts for name in ("query_id", "doc_id", "query", "document", "positive")}
    rows_given = pa.table({**columns, "verdict": pa.nulls(len(texts), pa.float64())})
    Sheet(tmp_path / "s.csv", rows_given).save()
    for row in sheet_rows(tmp_path / "s.csv"):
        assert not row["query_id"].lstrip().startswith(tuple("=+-@\uff1d"))
        assert not row["document"].startswith(("\t", "\r", "\n"))
    found = Sheet.open(tmp_path / "s.csv")
    assert found.pairs == [(text, text) for text in texts]
    assert found.table["document"].to_pylist() == texts
    for row in range(len(texts)):
        found.judge(row, row % 2)
    by_pair = read_verdicts(Table.open("qrels", str(tmp_path / "s.csv")))
    assert by_pair == {(text, text): n % 2 for n, text in enumerate(texts)}


def test_ids_that_look_like_formulas_go_through_the_whole_loop(tmp_path):
    ids = [f"={n}+1" for n in range(12)]
    texts = [f"fox number {n} runs" + " and runs" * n for n in range(12)]
    corpus = write(tmp_path / "c.parquet", _id=ids, text=texts)
    pairs = write(
        tmp_path / "p.parquet", query_id=["-q"], query=["@fox runs"], positive_id=[ids[0]],
        positive=[texts[0]],
    )  # fmt: skip
    api.build_index(corpus=str(corpus), dense=False, index=tmp_path / "i")
    api.mine(index=tmp_path / "i", pairs=str(pairs), output=tmp_path / "c")
    api.filter(candidates=tmp_path / "c", output=tmp_path / "m", near_copy=2, num_negatives=3)
    sheet = tmp_path / "a b's.csv"
    reviewed = review(given(tmp_path / "m", tmp_path, sheet=sheet))
    fill(sheet, lambda query, document: 1.0)
    command, check = reviewed.commands
    assert shlex.split(check)[-1] == str(sheet)
    again = hnmine(*_arguments(command, tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    judged = {row["doc_id"] for row in rows(tmp_path / "again" / "scored") if row["verdict"] == 1}
    assert judged == {document for _, document in Sheet.open(sheet).pairs}
    assert judged
