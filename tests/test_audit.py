from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import write
from scipy.stats import binomtest, hypergeom

import hnmine as api
from hnmine.audit.auditing import audit
from hnmine.audit.estimate import (
    Audit,
    clopper_pearson,
    in_words,
    of_sheet,
    over_queries,
    sampled_interval,
)
from hnmine.commands.configuration import settings_for
from hnmine.config import AuditSettings
from hnmine.errors import InputError, UsageError
from hnmine.sheets.draw import EVEN, Draw, check_draw, draw_order

NAN = float("nan")


def test_bands_come_by_their_number():
    bands = {"rank": np.array(["from 5", "from 20", "from 0", "from 10"])}
    bands["source"] = np.array(["dense", "bm25", "bm25+dense", "bm25"])
    found = Audit("m", 4)
    found.add_judged(np.zeros(4), np.arange(4), bands)
    assert list(found.groups["rank"]) == ["from 0", "from 5", "from 10", "from 20"]
    assert list(found.groups["source"]) == ["bm25", "bm25+dense", "dense"]


class TestEstimates:
    @pytest.mark.parametrize("alike", [0.05, 0.9])
    @pytest.mark.parametrize(("queries", "share"), [(30, 0.02), (100, 0.02), (100, 0.2)])
    def test_the_interval_over_queries_holds_though_a_querys_negatives_are_alike(
        self, queries, share, alike
    ):
        rng = np.random.default_rng(2)
        shape = (share * (1 / alike - 1), (1 - share) * (1 / alike - 1))
        inside = 0
        for _ in range(300):
            query = np.repeat(np.arange(queries), rng.integers(1, 8, queries))
            chance = rng.beta(*shape, queries)[query]
            estimate = over_queries((rng.random(len(query)) < chance).astype(float), query)
            inside += estimate.low <= share <= estimate.high
        assert inside >= 0.93 * 300

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

    @pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
    def test_the_interval_of_a_random_sample_holds(self, share):
        rng = np.random.default_rng(4)
        relevant = np.arange(500) < 500 * share
        inside = 0
        for _ in range(400):
            count = int(rng.choice(relevant, 80, replace=False).sum())
            low, high = sampled_interval(count, 80, 500)
            inside += low <= relevant.sum() <= high
        assert inside >= 0.95 * 400

    @pytest.mark.parametrize(("k", "n", "all_"), [(0, 5, 9), (2, 5, 9), (5, 5, 9), (0, 0, 4)])
    def test_the_interval_of_a_random_sample_is_what_neither_tail_rejects(self, k, n, all_):
        possible = range(k, all_ - (n - k) + 1)
        kept = [
            count
            for count in possible
            if min(hypergeom(all_, count, n).cdf(k), hypergeom(all_, count, n).sf(k - 1)) > 0.025
        ]
        assert sampled_interval(k, n, all_) == (kept[0], kept[-1])

    def test_a_census_leaves_nothing_open(self):
        assert sampled_interval(3, 40, 40) == (3, 3)

    def test_none_found_is_said_as_a_bound(self):
        zero = of_sheet(np.array([0.0] * 50 + [NAN] * 150), Draw(200, 50, 50, 0))
        assert zero.rate == zero.low == 0
        assert in_words(zero) == (
            f"at most {100 * zero.high:.2f} %: 0 of 50 judged are false; 25.0% of the 200 "
            "negatives were judged"
        ).replace("25.0%", "25.0 %")
        assert zero.high > 0.03
        unknown = in_words(over_queries(np.array([NAN]), np.arange(1)))
        assert unknown == "unknown: no negative was judged"


def pairs_of(count):
    return [(f"q{n % 50}", f"d{n}") for n in range(count)]


def in_order(pairs, seed):
    return [pairs[n] for n in draw_order(seed, *map(list, zip(*pairs, strict=True)))]


class TestDraw:
    """500 negatives of which every tenth is false; a person judges the first 100 of the draw."""

    pairs, seed = pairs_of(500), 7

    def checked(self, judged, *, seed=7, negatives=None, used_up=(), more=()):
        drawn = {pair: (EVEN, seed) for pair in in_order(self.pairs, self.seed)[:100]}
        drawn |= dict(more)
        verdicts = {pair: int(pair[1][1:]) % 10 == 0 for pair in judged}
        return check_draw(negatives or self.pairs, drawn, verdicts, used_up)

    def test_it_depends_on_ids_and_seed_alone_and_any_prefix_is_a_random_sample(self):
        shuffled = [self.pairs[n] for n in np.random.default_rng(0).permutation(500)]
        assert in_order(shuffled, 7) == in_order(self.pairs, 7) != in_order(self.pairs, 8)
        drawn = np.zeros(500)
        for seed in range(2000):
            drawn[draw_order(seed, *map(list, zip(*self.pairs, strict=True)))[:50]] += 1
        assert (np.abs(drawn - 200) < 5 * np.sqrt(200)).all()

    @pytest.mark.parametrize("judged", [100, 37, 1])
    def test_a_person_may_stop_at_any_row(self, judged):
        found = self.checked(in_order(self.pairs, 7)[:judged])
        assert (found.size, found.judged, found.fault) == (judged, judged, "")

    def test_who_skips_rows_has_no_random_sample(self):
        first = in_order(self.pairs, 7)[:100]
        easy = [pair for pair in first if int(pair[1][1:]) % 10]
        found = self.checked(easy)
        missing = found.size - len(easy)
        assert missing > 0
        assert found.fault.startswith(f"{missing} of the first {found.size} in the order")
        verdicts = np.array([0.0 if pair in set(easy) else NAN for pair in self.pairs])
        estimate = of_sheet(verdicts, found)
        assert np.isnan(estimate.rate)
        assert estimate.low == 0
        assert estimate.high > missing / 500 + 0.05
        assert in_words(estimate).startswith("between 0.00 % and")

    @pytest.mark.parametrize(
        ("seed", "more", "says"),
        [
            (8, {}, "have no verdict"),
            (None, {}, "does not record the seed"),
            (7, {("q0", "d0"): (EVEN, 8)}, "several draws"),
        ],
    )
    def test_another_seed_is_noticed(self, seed, more, says):
        found = self.checked(in_order(self.pairs, 7)[:100], seed=seed, more=more)
        assert says in found.fault

    def test_rows_that_someone_added_are_noticed(self):
        order = in_order(self.pairs, 7)
        found = self.checked([*order[:100], order[400]], more={order[400]: (EVEN, 7)})
        assert found.fault.startswith("300 of the first 401")

    def test_doubtful_rows_are_counted_apart(self):
        order = in_order(self.pairs, 7)
        doubtful = {order[3]: ("doubtful negative", None)}
        found = self.checked(order[:100], more=doubtful)
        assert (found.population, found.judged, found.fault) == (499, 99, "")

    def test_what_is_no_negative_any_more_is_left_out_unless_its_verdict_is_why(self):
        order = in_order(self.pairs, 7)
        relevant = [pair for pair in order[:100] if int(pair[1][1:]) % 10 == 0]
        others = [pair for pair in self.pairs if pair not in relevant]
        by_rule = self.checked(order[:100], negatives=others)
        assert (by_rule.population, by_rule.judged, by_rule.relevant) == (
            *(len(others), 100 - len(relevant)),
            0,
        )
        by_verdict = self.checked(order[:100], negatives=others, used_up=relevant)
        assert (by_verdict.population, by_verdict.judged) == (500, 100)
        assert by_verdict.relevant == len(relevant) > 0


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
    assert list(found.estimates) == ["qrels"]
    qrels = list(found.lines())[2]
    assert qrels.endswith(
        f"{len(false)} of 90 judged are false; 100.0 % of the 90 negatives were judged"
    )


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
    assert "  qrels  unknown: no negative was judged" in lines
    assert not any("%" in line for line in lines)
    assert (found.groups, found.worst) == ({}, {})


def test_without_judgements_there_is_an_order_and_no_rate(mined):
    found = audit(given(mined, shortcuts=False))
    lines = list(found.lines())
    assert not any("%" in line for line in lines)
    assert any(f"`hnmine review {mined / 'm'}`" in line for line in lines)
    rows = [row for row in pq.read_table(mined / "m" / "scored").to_pylist() if row["selected"]]
    most = sorted((row["relevance"] for row in rows), reverse=True)[:10]
    assert [one.relevance for one in found.doubtful] == pytest.approx(most)
    assert found.as_json()["estimates"] == {}


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
        assert not audit(settings).estimates
    file = {"output": str(run), **inputs, "audit": {"qrels": str(root / "qrels.parquet")}}
    assert settings_for("audit", file, {}).qrels == str(root / "qrels.parquet")
    assert settings_for("audit", {"mined": "m", "qrels": "fuller"}, {}).qrels == "fuller"


@pytest.mark.parametrize("grade", [NAN, float("inf"), -float("inf")])
def test_a_grade_that_is_not_finite_is_an_error(mined, tmp_path, grade):
    columns = {"query-id": ["q0", "q1"], "corpus-id": ["d0-0", "d1-0"], "score": [1.0, grade]}
    file = write(tmp_path / "q.parquet", **columns)
    with pytest.raises(InputError, match=rf"row 1: {grade} is not a valid verdict"):
        audit(given(mined, qrels=str(file)))


def test_a_table_of_verdicts_that_hnmine_did_not_draw_gives_what_is_possible(mined, tmp_path):
    rows = [row for row in pq.read_table(mined / "m" / "scored").to_pylist() if row["selected"]]
    pair = {"query_id": [rows[0]["query_id"]], "doc_id": [rows[0]["doc_id"]], "verdict": [1.0]}
    found = audit(given(mined, verdicts=str(write(tmp_path / "sheet.parquet", **pair))))
    estimate = found.estimates["verdicts"]
    assert (estimate.low, estimate.high) == pytest.approx((1 / 90, 1))
    assert np.isnan(estimate.rate)
    assert "no random sample: the sheet holds no pair that was drawn evenly" in found.notes[0]


def test_the_verdict_of_a_sheet_is_no_score_and_no_grade_beside_it(mined, tmp_path):
    sheet = tmp_path / "sheet.parquet"
    audit(given(mined, sample=10, sheet=sheet))
    table = pq.read_table(sheet)
    at = table.column_names.index("verdict")
    table = table.set_column(at, "verdict", pa.array([1.0] * 4 + [0.0] * 6))
    table = table.append_column("grade", pa.array([3.0] * 4 + [1.0] * 6))
    judges = pa.array([None, "person"] + ["a model"] * 8)
    table = table.set_column(table.column_names.index("judge"), "judge", judges)
    pq.write_table(table, sheet)
    found = audit(given(mined, verdicts=str(sheet)))
    assert found.estimates["verdicts"].relevant == 4
    assert "8 verdicts are by a model: the interval leaves out its errors" in found.notes[0]


def test_a_sheet_goes_out_empty_and_comes_back_with_verdicts(mined, tmp_path):
    sheet = tmp_path / "sheet.csv"
    audit(given(mined, sample=40, sheet=sheet))
    rows = list(csv.DictReader(sheet.open()))
    assert len(rows) == 40
    assert all(row["query"].startswith("what is") and row["verdict"] == "" for row in rows)
    for n, row in enumerate(rows):
        row["verdict"] = "" if n >= 36 else str(int(n < 9))
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
