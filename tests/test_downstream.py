"""benchmarks/downstream: its split, its measures and its tests against slow obvious ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import write
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize

from benchmarks.downstream.adapter import Remembered
from benchmarks.downstream.chosen_rows import Chosen, once
from benchmarks.downstream.protocol import split
from benchmarks.downstream.runs import _about, held_out
from hnmine.training.retrieval_measures import DEPTH, difference
from hnmine.training.student_rows import Rows

VALUES = st.floats(0, 1)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=3, max_size=40))
def test_the_difference_is_that_of_the_paired_t_test(pairs):
    ours, theirs = np.array(pairs).T
    apart = ours - theirs
    found = difference(ours, theirs)
    assert found["mean"] == pytest.approx(sum(apart) / len(apart), abs=1e-12)
    if apart.std() < 1e-9:
        return
    error = apart.std(ddof=1) / math.sqrt(len(apart))
    half = stats.t.ppf(0.975, len(apart) - 1) * error
    assert found["low"] == pytest.approx(apart.mean() - half, rel=1e-6, abs=1e-9)
    assert found["high"] == pytest.approx(apart.mean() + half, rel=1e-6, abs=1e-9)
    assert found["p"] == pytest.approx(float(stats.ttest_rel(ours, theirs).pvalue), abs=1e-12)
    back = difference(theirs, ours)
    assert (back["low"], back["high"]) == pytest.approx((-found["high"], -found["low"]))
    assert back["p"] == pytest.approx(found["p"])


def test_no_difference_is_certain():
    same = np.array([0.1, 0.5, 0.9])
    assert difference(same, same) == {"mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


JUDGEMENTS = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 15), st.integers(0, 2)),
    max_size=60,
    unique_by=lambda row: row[:2],
)
"""Query, document, grade."""


def collection(folder: Path, judged: list[tuple[int, int, int]], splits: bool) -> Path:
    """Write a collection; queries 6 to 11 have the texts of 0 to 5, but for their case."""
    folder.mkdir()
    texts = [f"What is {n}?" for n in range(6)] + [f"WHAT is  {n}?" for n in range(6)]
    write(folder / "queries.parquet", _id=[f"q{n}" for n in range(12)], text=texts)
    write(
        folder / "corpus.parquet",
        _id=[f"d{n}" for n in range(16)],
        title=["On"] * 16,
        text=[f"number {n} and more words" for n in range(16)],
    )
    qrels = {
        "query_id": [f"q{query}" for query, *_ in judged],
        "corpus_id": [f"d{document}" for _, document, _ in judged],
        "score": pa.array([grade for *_, grade in judged], pa.int64()),
    }
    if splits:
        qrels["split"] = ["train" if query % 2 else "test" for query, *_ in judged]
    pq.write_table(pa.table(qrels), folder / "qrels.parquet")
    return folder


def read(folder: Path, name: str) -> list[dict[str, str]]:
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


@given(JUDGEMENTS, st.booleans(), st.integers(0, 5), st.integers(0, 5), st.integers(0, 20))
def test_nothing_that_is_measured_on_is_trained_on(
    tmp_path_factory, judged, splits, train, evaluate, documents
):
    home = tmp_path_factory.mktemp("split")
    output, held_out = home / "out", home / "out" / "held-out"
    split(collection(home / "some", judged, splits), output, train, evaluate, documents, 4)
    relevant = {(f"q{query}", f"d{document}") for query, document, grade in judged if grade}
    ids, texts = ({}, {})
    for side, folder in (("train", output), ("held-out", held_out)):
        ids[side] = {row["_id"] for row in read(folder, "queries")}
        texts[side] = {" ".join(r["text"].split()).casefold() for r in read(folder, "queries")}
    assert not ids["train"] & ids["held-out"]
    assert not texts["train"] & texts["held-out"]
    assert len(ids["train"]) <= train and len(ids["held-out"]) <= evaluate
    if splits and any(int(query[1:]) % 2 for query, _ in relevant):
        assert all(int(one[1:]) % 2 for one in ids["train"])
        assert not any(int(one[1:]) % 2 for one in ids["held-out"])
    known = [(row["query_id"], row["corpus_id"]) for row in read(output, "qrels")]
    assert sorted(query for query, _ in known) == sorted(ids["train"])  # One positive each.
    assert set(known) <= relevant
    every = {(row["query_id"], row["corpus_id"]) for row in read(output / "oracle", "qrels")}
    assert every == {pair for pair in relevant if pair[0] in ids["train"]}
    told = {(row["query_id"], row["corpus_id"]) for row in read(held_out, "qrels")}
    assert told == {pair for pair in relevant if pair[0] in ids["held-out"]}
    searched = {row["_id"] for row in read(held_out, "corpus")}
    needed = {document for _, document in told}
    assert needed <= searched
    assert len(searched) == max(len(needed), min(documents, 16))
    assert all(len(row["text"].split()) <= 4 for row in read(output, "corpus"))


def test_chosen_describes_the_selected_alone(tmp_path):
    (tmp_path / "scored").mkdir()
    write(
        tmp_path / "scored" / "00000.parquet",
        selected=[True, False, True, True],
        dense_rank=[2, 50, 5, None],
        dense_score=[0.5, 0.9, 0.25, 0.0],
    )
    assert _about(tmp_path) == {"similarity": 0.25, "rank": 3.5}


@pytest.mark.parametrize("scores", [None, [np.array([1.0, 2.0]), np.array([3.0, 4.0])]])
def test_rows_are_chosen_once_and_read_as_they_were(tmp_path, scores):
    sets = [Rows(["a", "b"], [("x", n), ("z", n)], scores) for n in ("q", "r")]
    kept = Chosen(sets, {"rows": 2})
    once(tmp_path / "rows.parquet", {"seed": 1}, lambda: kept)
    again = once(tmp_path / "rows.parquet", {"seed": 1}, lambda: Chosen([], {}))
    assert [own.fingerprint for own in again.sets] == [own.fingerprint for own in sets]
    assert again.about == {"rows": 2}
    other = once(tmp_path / "rows.parquet", {"seed": 2}, lambda: Chosen(sets[:1], {"rows": 3}))
    assert (len(other.sets), other.about) == (1, {"rows": 3})


def slow(scores: np.ndarray, relevant: set[int]) -> tuple[float, float, float]:
    """nDCG@10, recall@100 and MRR@10 of one query."""
    order = sorted(range(len(scores)), key=lambda n: -scores[n])
    gain = sum(1 / math.log2(rank + 2) for rank, n in enumerate(order[:10]) if n in relevant)
    best = sum(1 / math.log2(rank + 2) for rank in range(min(10, len(relevant))))
    first = [1 / (rank + 1) for rank, n in enumerate(order[:10]) if n in relevant]
    found = sum(n in relevant for n in order[:DEPTH])
    return gain / best, found / len(relevant), first[0] if first else 0.0


def test_measures_are_those_of_a_slow_ranking(tmp_path):
    rng = np.random.default_rng(3)
    documents, queries, size = 150, 24, 16
    vectors = rng.standard_normal((documents + queries, size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"d{n}" for n in range(documents)] + [f"q{n:02}" for n in range(queries)]
    relevant = [
        set(rng.choice(documents, rng.integers(1, 15), replace=False)) for _ in range(queries)
    ]
    folder = tmp_path / "held-out"
    folder.mkdir()
    write(folder / "corpus.parquet", _id=names[:documents], text=names[:documents])
    asked = names[documents:][::-1]  # Any order: the values come in that of the ids.
    write(folder / "queries.parquet", _id=asked, text=asked)
    pairs = [(f"q{n:02}", f"d{one}") for n, own in enumerate(relevant) for one in sorted(own)]
    write(
        folder / "qrels.parquet",
        query_id=[query for query, _ in pairs],
        corpus_id=[document for _, document in pairs],
    )
    table = Remembered({name: n for n, name in enumerate(names)}, vectors)
    model = SentenceTransformer(modules=[table, Normalize()], device="cpu")
    found = held_out(tmp_path).measure(model)
    scores = vectors[documents:] @ vectors[:documents].T
    wanted = [slow(row, own) for row, own in zip(scores, relevant, strict=True)]
    assert 0 < np.mean(found["nDCG@10"]) < 1
    for name, values in zip(("nDCG@10", "R@100", "RR@10"), zip(*wanted, strict=True), strict=True):
        assert found[name] == pytest.approx(values)
