"""benchmarks/quality: its arithmetic against a slow obvious one; all of it once, on real text."""

from __future__ import annotations

import json
from itertools import product
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, rows, write
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.__main__ import main
from benchmarks.quality.compare import ratio, summary
from benchmarks.quality.evaluate import (
    Pool,
    at_setting,
    fewest_zeros,
    frontier,
    lowest_rate,
    lowest_rates,
    measure,
    rates,
    resamples,
)
from benchmarks.quality.protocol import read_judged, split

ASKED = 2
QUERIES = 8
SMALL = ["--queries", str(QUERIES), "--mine", "--source dense --top-k 52"]
"""52 is the least depth at which nothing that sentence-transformers looks at is missing."""


@st.composite
def scored_pools(draw) -> tuple[Pool, np.ndarray]:
    """A few queries, some without candidates, with scores that tie, are infinite or are missing."""
    sizes = draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    n = sum(sizes)
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    value = st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan, np.inf])
    counted = np.array(draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes))))
    query = np.repeat(np.arange(len(sizes)), sizes)
    gaps = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    ranks = [np.arange(size) for size in sizes]
    rank = np.concatenate(ranks) * 2 + np.array(gaps, dtype=int)
    hidden = np.array(draw(flags), dtype=bool) & counted[query]
    score = np.array(draw(st.lists(value, min_size=n, max_size=n)), dtype=float)
    return Pool(query, rank, hidden, counted, zero=np.array(draw(flags), dtype=bool)), score


def slow_selection(pool: Pool, score: np.ndarray, cut: float, range_min: int) -> np.ndarray:
    selected = np.zeros(len(score), dtype=bool)
    for query in range(pool.queries):
        taken = 0
        for row in np.flatnonzero(pool.query == query):
            if taken < ASKED and score[row] <= cut and pool.rank[row] >= range_min:
                selected[row] = True
                taken += 1
    return selected


def slow_lowest(pool: Pool, score, min_yield: float, max_rank: float, copies=None) -> float:
    """Try every setting; a query counts as often as `copies` says."""
    copies = np.ones(pool.queries) if copies is None else copies
    lowest = np.inf
    for cut, range_min in product(np.unique(score[np.isfinite(score)]), range(pool.depth)):
        selected = slow_selection(pool, score, cut, range_min)
        weight = copies[pool.query] * selected
        counted = weight * pool.counted[pool.query]
        if not counted.sum() or weight.sum() < min_yield * ASKED * pool.queries - 1e-9:
            continue
        if (weight * pool.rank).sum() <= (max_rank + 1e-9) * weight.sum():
            lowest = min(lowest, (counted * pool.hidden).sum() / counted.sum())
    return lowest


@given(scored_pools(), st.sampled_from([0.0, 0.3, 0.6, 1.0]), st.sampled_from([0.5, 2.0, 5.0]))
def test_the_lowest_rate_is_the_lowest_of_all_settings(case, min_yield, max_rank):
    pool, score = case
    best = lowest_rate(pool, score, ASKED, min_yield, max_rank)
    expected = slow_lowest(pool, score, min_yield, max_rank)
    if best is None:
        assert expected == np.inf
        return
    assert best.rate == pytest.approx(expected)
    assert best.found >= min_yield - 1e-9
    assert best.rank <= max_rank + 1e-9
    assert at_setting(pool, score, best.cut, best.range_min, ASKED) == pytest.approx(
        measure(
            pool,
            slow_selection(pool, score, best.cut, best.range_min),
            ASKED,
            (score <= best.cut) & (pool.rank >= best.range_min),
            best.cut,
            best.range_min,
        ),
        nan_ok=True,
    )
    (found,) = frontier(pool, score, [min_yield], [max_rank], ASKED)
    assert found[2] == pytest.approx(expected)


@given(scored_pools(), st.data())
def test_a_resample_is_the_queries_it_drew(case, data):
    pool, score = case
    count = st.lists(st.integers(0, 2), min_size=pool.queries, max_size=pool.queries)
    copies = np.array(data.draw(count), dtype=float)
    (found,) = lowest_rates(pool, score, copies[None], ASKED, 0.3, 4.0)
    assert found == pytest.approx(slow_lowest(pool, score, 0.3, 4.0, copies))
    selected = slow_selection(pool, score, 2.0, 1)
    again = np.repeat(pool.query, copies[pool.query].astype(int))
    if not len(again) or not selected.any():
        return
    once, _, _ = rates(pool, selected, np.ones((1, pool.queries)), ASKED)
    assert once[0] == pytest.approx(measure(pool, selected, ASKED).rate, nan_ok=True)


def test_resamples_draw_as_many_queries_as_there_are():
    weights = resamples(7, 50, seed=3)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == resamples(7, 50, seed=3)).all()
    assert (weights != resamples(7, 50, seed=4)).any()


def test_zeros_are_dropped_by_the_cut_alone():
    query, rank = np.zeros(4, dtype=int), np.arange(4)
    hidden = np.array([True, False, False, False])
    pool = Pool(query, rank, hidden, zero=np.array([False, True, True, False]))
    safe = fewest_zeros(pool, np.array([3.0, 4.0, 1.0, 0.0]), 0.0, ASKED)
    assert safe is not None
    assert safe.dropped_zeros == 0.5
    assert fewest_zeros(pool, np.array([3.0, 4.0, 1.0, 0.0]), 0.5, ASKED).cut == 4.0


def test_rows_out_of_order_are_refused():
    with pytest.raises(ValueError, match="Order"):
        Pool(np.array([0, 0]), np.array([1, 0]), np.zeros(2, dtype=bool))


def test_the_geometric_mean_and_the_worst_case():
    drawn = [np.array([0.5, 0.5, 0.5]), np.array([2.0, 2.0, 2.0])]
    cases = [(name, {"arm": {"rule": one}}) for name, one in zip("ab", drawn, strict=True)]
    total = summary(cases)["arm"]["rule"]
    assert total["geometric mean"] == pytest.approx(1.0)
    assert (total["worst"], total["worst on"], total["cases"]) == (2.0, "b", 2)


def test_a_choice_that_is_a_setting_of_the_rule_has_a_ratio_of_at_least_one():
    noise = np.random.default_rng(0)
    query, rank = np.repeat(np.arange(20), 30), np.tile(np.arange(30), 20)
    score, hidden = noise.random(600), noise.random(600) < 0.3
    pool = Pool(query, rank, hidden)
    selected = slow_selection(pool, score, np.quantile(score, 0.5, method="inverted_cdf"), 3)
    point, weights = measure(pool, selected, ASKED), resamples(20, 40)
    drawn = rates(pool, selected, weights, ASKED)
    assert (ratio(pool, score, point, drawn, weights, ASKED) >= 1).all()


@pytest.fixture(scope="module")
def collection(stdlib, tmp_path_factory):
    """Docstrings; those of the positive's module count as relevant, every seventh as judged not."""
    folder = tmp_path_factory.mktemp("collections") / "stdlib"
    folder.mkdir()
    pairs = rows(stdlib / "pairs.parquet")
    positives = {pair["positive_id"] for pair in pairs}
    corpus = [
        row
        for n, row in enumerate(rows(stdlib / "corpus.parquet"))
        if row["id"] in positives or n % 2
    ]
    write(
        folder / "corpus.parquet",
        _id=[row["id"] for row in corpus],
        text=[row["text"] for row in corpus],
    )
    write(
        folder / "queries.parquet",
        _id=[f"q{n}" for n in range(len(pairs))],
        text=[pair["query"] for pair in pairs],
    )
    judged = []
    for n, pair in enumerate(pairs):
        for m, row in enumerate(corpus):
            near = row["id"].rpartition(".")[0] == pair["positive_id"].rpartition(".")[0]
            if near or m % 7 == n % 7 or row["id"] == pair["positive_id"]:
                grade = int(row["id"] == pair["positive_id"]) or int(near and m % 2)
                judged.append((f"q{n}", row["id"], grade))
    query, document, grade = zip(*judged, strict=True)
    write(folder / "qrels.parquet", query_id=query, corpus_id=document, score=grade)
    return folder


def test_a_split_keeps_one_positive_and_hides_the_others(collection, tmp_path):
    split(collection, tmp_path / "one", queries=20, seed=1)
    judged = read_judged(collection, tmp_path / "one")
    relevant: dict[str, set[str]] = {}
    for row in rows(collection / "qrels.parquet"):
        if row["score"]:
            relevant.setdefault(row["query_id"], set()).add(row["corpus_id"])
    assert len(judged.texts) == 20
    for query, known in judged.known.items():
        assert known not in judged.hidden[query]
        assert judged.hidden[query] | {known} == relevant[query]
        assert not judged.zeros[query] & relevant[query]
    assert any(judged.hidden.values())
    assert not all(judged.hidden.values())

    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    for name in ("corpus", "queries", "qrels"):
        table = pq.read_table(collection / f"{name}.parquet")
        order = np.random.default_rng(0).permutation(len(table))
        pq.write_table(table.take(order), shuffled / f"{name}.parquet")
    split(shuffled, tmp_path / "two", queries=20, seed=1)
    assert read_judged(shuffled, tmp_path / "two") == judged
    split(collection, tmp_path / "three", queries=20, seed=2)
    assert read_judged(collection, tmp_path / "three").known != judged.known


@pytest.fixture(scope="module")
def measured(collection, tmp_path_factory):
    """The one command, with `hnmine filter --compat` as further arms."""
    out = tmp_path_factory.mktemp("out")
    compat = "--compat sentence-transformers --relative-margin 0.05"
    arguments = ["--data", str(collection.parent), "--out", str(out), *SMALL]
    arguments += ["--arm", f"compat={compat}"]
    arguments += ["--arm", f"compat ce={compat} --cross-encoder {CROSS_ENCODER}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.quality.compare.RESAMPLES", 50)
        main(arguments)
    return SimpleNamespace(out=out, results=json.loads((out / "results.json").read_text()))


def test_the_rate_of_an_arm_is_what_its_files_say(measured, collection):
    work = measured.out / "stdlib" / "seed-0"
    judged = read_judged(collection, work)
    selected = [row for row in rows(work / "arms" / "compat" / "scored") if row["selected"]]
    counted = [row for row in selected if judged.hidden[row["query_id"]]]
    hidden = [row for row in counted if row["doc_id"] in judged.hidden[row["query_id"]]]
    point = measured.results["cases"][0]["hnmine"]["compat"]
    assert 0 < len(hidden) < len(counted) < len(selected)
    assert point["rate"] == pytest.approx(len(hidden) / len(counted))
    assert point["found"] == pytest.approx(len(selected) / (5 * QUERIES))
    assert point["rank"] == pytest.approx(np.mean([row["rank"] for row in selected]))
    assert point["similarity"] == pytest.approx(np.mean([row["dense_score"] for row in selected]))


@pytest.mark.parametrize(
    ("arm", "peer"),
    [
        ("compat", "sentence-transformers"),
        ("compat ce", "sentence-transformers, cross-encoder"),
    ],
)
def test_the_peer_chooses_what_hnmine_chooses_in_its_place(measured, arm, peer):
    case = measured.results["cases"][0]
    for quantity in ("rate", "found", "rank", "similarity"):
        assert case["peers"][peer][quantity] == pytest.approx(case["hnmine"][arm][quantity])


def test_every_rule_is_compared_and_as_used_is_no_better_than_the_best(measured):
    case = measured.results["cases"][0]
    table = (measured.out / "table.md").read_text()
    for rule in ("bi-encoder, relative margin", "cross-encoder, margin", "cross-encoder, cut"):
        assert case["equal"]["hnmine"][rule]["best"]["found"] >= case["hnmine"]["hnmine"]["found"]
        assert f"| {rule} |" in table
    own = case["equal"]["hnmine"]["cross-encoder, margin"]
    assert own["95 %"][0] <= own["hnmine over it"] <= own["95 %"][1]
    assert case["judged zeros among candidates"] > 0
    curves = json.loads((measured.out / "curves.json").read_text())["cases"]["stdlib 0"]
    assert curves.keys() == case["fixed"].keys()


def test_a_collection_with_nothing_to_hide_is_left_out(collection, tmp_path, capsys):
    single = tmp_path / "data" / "single"
    single.mkdir(parents=True)
    for name in ("corpus", "queries"):
        (single / f"{name}.parquet").symlink_to(collection / f"{name}.parquet")
    write(
        single / "qrels.parquet",
        query_id=["q0"],
        corpus_id=[rows(collection / "corpus.parquet")[0]["_id"]],
    )
    with pytest.raises(SystemExit, match="Nothing to measure"):
        main(["--data", str(single.parent), "--out", str(tmp_path / "out")])
    assert "single: no query has a second positive" in capsys.readouterr().err
    assert not (tmp_path / "out" / "single" / "index").exists()


def test_grades_are_given_by_collection(collection, tmp_path):
    split(collection, tmp_path, queries=8, seed=0, min_grade=0)
    all_relevant = read_judged(collection, tmp_path, min_grade=0)
    assert not any(all_relevant.zeros.values())
    stricter = read_judged(collection, tmp_path, min_grade=1)
    assert any(stricter.zeros.values())
    for query, hidden in all_relevant.hidden.items():
        known = {all_relevant.known[query]}
        assert hidden == stricter.hidden[query] | stricter.zeros[query] - known


@pytest.mark.parametrize("flag", ["--arm", "--grade"])
def test_a_flag_without_a_name_is_refused(collection, flag, capsys):
    with pytest.raises(SystemExit):
        main(["--data", str(collection.parent), flag, "2"])
    assert "is not NAME=VALUE" in capsys.readouterr().err


def test_a_second_run_scores_nothing_again(measured, collection):
    kept = sorted((measured.out / "stdlib").rglob("run.json"))
    before = {path: path.read_bytes() for path in kept if "arms" not in path.parts}
    main(["--data", str(collection.parent), "--out", str(measured.out), "--no-peer", *SMALL])
    assert len(before) == 3
    assert {path: path.read_bytes() for path in before} == before
