from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import write
from scipy.stats import binomtest

import hnmine as api
from hnmine.audit.auditing import audit
from hnmine.audit.estimate import Audit, clopper_pearson, even_sample, of_sheet, over_queries
from hnmine.commands.configuration import settings_for
from hnmine.config import AuditSettings
from hnmine.errors import InputError, UsageError

NAN = float("nan")


def test_bands_come_by_their_number():
    bands = {"rank": np.array(["from 5", "from 20", "from 0", "from 10"])}
    bands["source"] = np.array(["dense", "bm25", "bm25+dense", "bm25"])
    found = Audit(4)
    found.add("p_relevant", np.zeros(4), np.arange(4), bands)
    assert list(found.groups["rank"]) == ["from 0", "from 5", "from 10", "from 20"]
    assert list(found.groups["source"]) == ["bm25", "bm25+dense", "dense"]


class TestEstimates:
    def test_the_interval_over_queries_holds_though_a_querys_negatives_are_alike(self):
        rng = np.random.default_rng(2)
        inside = 0
        for _ in range(200):
            query = np.repeat(np.arange(80), 5)
            values = (rng.random(80) < 0.2).astype(float)[query]
            estimate = over_queries(values, query)
            inside += estimate.low <= 0.2 <= estimate.high
        assert inside >= 180

    def test_none_found_is_not_none_there(self):
        estimate = over_queries(np.zeros(50), np.repeat(np.arange(10), 5))
        assert estimate.rate == estimate.low == 0.0
        assert estimate.high == pytest.approx(1 - 0.025 ** (1 / 10))

    def test_what_is_not_known_does_not_count(self):
        estimate = over_queries(np.array([1.0, NAN, 0.0, NAN]), np.arange(4))
        assert (estimate.rate, estimate.negatives, estimate.known) == (0.5, 4, 2)
        nothing = over_queries(np.array([NAN]), np.arange(1))
        assert (nothing.low, nothing.high, nothing.known) == (0.0, 1.0, 0)

    @pytest.mark.parametrize(("k", "n"), [(0, 60), (3, 60), (60, 60), (0, 0), (1, 7)])
    def test_clopper_and_pearson(self, k, n):
        expected = binomtest(k, n).proportion_ci(method="exact") if n else (0.0, 1.0)
        assert clopper_pearson(k, n) == pytest.approx(tuple(expected))

    def test_every_negative_is_drawn_as_often_and_every_grade_each_time(self):
        suspicion = np.linspace(0, 1, 37)
        drawn = np.zeros(37)
        for seed in range(3000):
            sample = even_sample(suspicion, 7, seed)
            assert len(set(sample.tolist())) == 7
            assert (np.diff(sample) <= 7).all()
            drawn[sample] += 1
        expected = 3000 * 7 / 37
        assert (np.abs(drawn - expected) < 5 * np.sqrt(expected)).all()
        assert even_sample(suspicion, 99, 0).tolist() == list(range(37))

    def test_the_estimate_of_a_sample_is_unbiased(self):
        rng = np.random.default_rng(4)
        suspicion = rng.random(2000)
        relevant = rng.random(2000) < suspicion**3
        rates = []
        for seed in range(300):
            drawn = even_sample(suspicion, 100, seed)
            verdicts = np.full(2000, NAN)
            verdicts[drawn] = relevant[drawn]
            rates.append(of_sheet(verdicts, verdicts[drawn]).rate)
        assert np.mean(rates) == pytest.approx(relevant.mean(), abs=0.006)


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """Topics of six documents; a query has one positive, the others are its false negatives."""
    root = tmp_path_factory.mktemp("audit")
    words = ["oak", "fox", "tin", "rye", "sea", "jam", "cup", "elk", "fig", "gem"]
    topics = [f"{a} {b}" for a in words[:6] for b in words[5:]]
    corpus = {
        f"d{t}-{n}": f"{topic} story number {n} about the {words[(t + n) % 10]} and {n * 7 + t}"
        for t, topic in enumerate(topics)
        for n in range(6)
    }
    corpus_file = write(root / "c.parquet", _id=list(corpus), text=list(corpus.values()))
    pairs = write(
        root / "p.parquet",
        query_id=[f"q{t}" for t in range(len(topics))],
        query=[f"what is the story of {topic}" for topic in topics],
        positive_id=[f"d{t}-0" for t in range(len(topics))],
        positive=[corpus[f"d{t}-0"] for t in range(len(topics))],
    )
    api.build_index(corpus=str(corpus_file), index=root / "i", dense=False)
    api.mine(index=root / "i", pairs=str(pairs), output=root / "c", top_k=20)
    api.filter(candidates=root / "c", output=root / "m", num_negatives=3, depth=0)
    write(
        root / "qrels.parquet",
        **{
            "query-id": [f"q{t}" for t in range(len(topics)) for _ in range(6)],
            "corpus-id": [f"d{t}-{n}" for t in range(len(topics)) for n in range(6)],
            "score": [1] * 6 * len(topics),
        },
    )
    return root


def given(mined, **settings):
    return AuditSettings.parse({"mined": mined / "m", **settings})


def test_judgements_count_what_is_judged_relevant(mined):
    found = audit(given(mined, qrels=str(mined / "qrels.parquet")))
    rows = [row for row in pq.read_table(mined / "m" / "scored").to_pylist() if row["selected"]]
    false = [row for row in rows if row["doc_id"].split("-")[0][1:] == row["query_id"][1:]]
    assert found.estimates["qrels"].rate == pytest.approx(len(false) / len(rows))
    assert found.negatives == len(rows) == 90
    for groups in found.groups.values():
        assert sum(estimate.negatives for estimate in groups.values()) == 90
    assert 0 <= found.estimates["p_relevant"].rate <= 1
    p_relevant, qrels, *groups = list(found.lines())[1:7]
    assert p_relevant.endswith("estimated for 90 of 90")
    assert qrels.endswith("90 of 90 are of queries with judgements")
    assert groups[1].endswith("are of queries with judgements")


@pytest.mark.parametrize("with_grades", [True, False])
def test_queries_that_nobody_judged_are_left_out_and_not_called_right(mined, tmp_path, with_grades):
    judged = ["q0"] * 6 + ["q3", "q4"]
    docs = [f"d0-{n}" for n in range(6)] + ["d3-0", "d9-1"]
    grades = {"score": [1] * 6 + [1, 0]} if with_grades else {}
    file = write(tmp_path / "q.parquet", **{"query-id": judged, "corpus-id": docs, **grades})
    found = audit(given(mined, qrels=str(file)))
    rows = [row for row in pq.read_table(mined / "m" / "scored").to_pylist() if row["selected"]]
    known = [row for row in rows if row["query_id"] in ("q0", "q3", "q4")]
    false = [
        row for row in known if (row["query_id"], row["doc_id"]) in zip(judged, docs, strict=True)
    ]
    estimate = found.estimates["qrels"]
    assert (estimate.known, estimate.negatives) == (len(known), len(rows)) == (9, 90)
    assert estimate.rate == pytest.approx(len(false) / len(known))
    assert estimate.rate > 0.1  # Of all 90 it would be less.
    assert sum(group.known for group in found.groups["rank"].values()) == 9
    assert set(found.worst) <= {"q0", "q3", "q4"}


def test_where_no_query_is_judged_the_share_is_unknown(mined, tmp_path):
    file = write(tmp_path / "q.parquet", **{"query-id": ["x"], "corpus-id": ["d"], "score": [1]})
    found = audit(given(mined, qrels=str(file)))
    assert found.as_json()["estimates"]["qrels"]["rate"] is None
    assert found.estimates["qrels"].known == 0
    lines = list(found.lines())
    assert "  qrels       unknown" in lines
    assert not any("0.00 % (0.00 %" in line for line in lines)
    assert all(group.known for group in found.groups["rank"].values())  # By p_relevant.


def test_the_judgements_that_were_mined_with_know_nothing_of_the_negatives(mined, tmp_path):
    root = mined
    topics = len(set(pq.read_table(root / "p.parquet")["query_id"].to_pylist()))
    pairs = pq.read_table(root / "p.parquet")
    queries = write(
        tmp_path / "queries.parquet",
        _id=pairs["query_id"].to_pylist(),
        text=pairs["query"].to_pylist(),
    )
    known = {"query-id": [f"q{t}" for t in range(topics) for _ in range(2)]}
    known["corpus-id"] = [f"d{t}-{n}" for t in range(topics) for n in range(2)]
    qrels = write(tmp_path / "qrels.parquet", **known, score=[2, 1] * topics)
    inputs = {"queries": str(queries), "qrels": str(qrels)}
    run = tmp_path / "run"
    mine = {"index": root / "i", "output": run / "candidates", "top_k": 20, "min_grade": 2}
    api.mine(**inputs, **mine)
    api.filter(candidates=run / "candidates", output=run / "mined", num_negatives=3, depth=0)
    estimates = audit(AuditSettings.parse({"mined": run / "mined", "qrels": str(qrels)})).estimates
    assert estimates["qrels"].rate > 0  # A lower grade than was mined with.
    same = AuditSettings.parse({"mined": run / "mined", "qrels": str(qrels), "min_grade": 2})
    assert audit(same).estimates["qrels"].known == 0
    for file in (
        {"output": str(run), "mine": {**inputs, "min_grade": 2}},
        {"output": str(run), **inputs, "min-grade": 2},
        {"output": str(run)},
    ):
        settings = settings_for("audit", file, {})
        assert settings.mined == run / "mined"
        assert settings.qrels is None
        assert list(audit(settings).estimates) == ["p_relevant"]
    file = {"output": str(run), **inputs, "audit": {"qrels": str(root / "qrels.parquet")}}
    assert settings_for("audit", file, {}).qrels == str(root / "qrels.parquet")
    assert settings_for("audit", {"mined": "m", "qrels": "fuller"}, {}).qrels == "fuller"


@pytest.mark.parametrize("grade", [NAN, float("inf"), -float("inf")])
def test_a_grade_that_is_not_finite_is_an_error(mined, tmp_path, grade):
    columns = {"query-id": ["q0", "q1"], "corpus-id": ["d0-0", "d1-0"], "score": [1.0, grade]}
    file = write(tmp_path / "q.parquet", **columns)
    with pytest.raises(InputError, match=rf"row 1: {grade} is not a valid verdict"):
        audit(given(mined, qrels=str(file)))


def test_only_what_somebody_judged_is_called_judged(mined, tmp_path):
    pair = {"query_id": ["q0"], "doc_id": ["d1-0"], "verdict": [0.0]}
    sheet = str(write(tmp_path / "sheet.parquet", **pair))
    _, p_relevant, verdicts, *groups = audit(given(mined, verdicts=sheet)).lines()
    assert "judged" not in p_relevant
    assert verdicts.endswith("of 90 judged") or verdicts.endswith("unknown")
    assert not any("judged" in line for line in groups)


def test_a_sheet_goes_out_empty_and_comes_back_with_verdicts(mined, tmp_path):
    sheet = tmp_path / "sheet.csv"
    audit(given(mined, sample=40, sheet=sheet))
    rows = list(csv.DictReader(sheet.open()))
    assert len(rows) == 40
    assert all(row["query"].startswith("what is") and row["verdict"] == "" for row in rows)
    for n, row in enumerate(rows):
        row["verdict"] = "" if n < 4 else str(int(n < 13))
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    estimate = audit(given(mined, verdicts=str(sheet))).estimates["verdicts"]
    assert (estimate.rate, estimate.known, estimate.negatives) == (9 / 36, 36, 90)
    # The same sheet is a judge: what it calls relevant is no negative any more.
    api.filter(
        candidates=mined / "c", output=tmp_path / "m", num_negatives=3, depth=0, judge=[str(sheet)]
    )
    again = {
        (row["query_id"], row["doc_id"])
        for row in pq.read_table(tmp_path / "m" / "scored").to_pylist()
        if row["selected"]
    }
    assert not again & {(row["query_id"], row["doc_id"]) for row in rows if row["verdict"] == "1"}


def test_shortcuts_are_looked_for_unless_they_are_not_wanted(mined):
    found = audit(given(mined)).shortcuts
    assert set(found) == {"length", "bm25", "overlap", "wording"}
    assert all(0.5 <= found[name] <= 1 for name in ("length", "bm25", "overlap"))
    assert audit(given(mined, shortcuts=False)).shortcuts == {}


def test_it_is_a_table_and_json(mined):
    found = audit(given(mined, qrels=str(mined / "qrels.parquet")))
    assert any(line.startswith("by margin") for line in found.lines())
    assert json.loads(json.dumps(found.as_json()))["negatives"] == 90


def test_what_cannot_be_audited_is_explained(mined, tmp_path):
    with pytest.raises(UsageError, match="sheet"):
        audit(given(mined, sample=3))
    with pytest.raises(InputError, match="not a finished mined"):
        audit(AuditSettings.parse({"mined": tmp_path}))
    wrong = write(tmp_path / "v.parquet", query_id=["q0"], doc_id=["d0-1"], verdict=[3.0])
    with pytest.raises(InputError, match=r"row 0: 3\.0 is not a valid verdict"):
        audit(given(mined, verdicts=str(wrong)))
