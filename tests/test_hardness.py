from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import ENCODER, hnmine
from hypothesis import given
from hypothesis import strategies as st

import hnmine as api
from hnmine.directories.index import Index
from hnmine.selection.hardness import (
    EASY,
    MILLION,
    SCALES,
    Hardness,
    sums,
    sums_of_ranks,
    sums_of_shortcuts,
    why_unknown,
)

cosines = st.floats(-1, 1, allow_subnormal=False)
candidates = st.tuples(st.integers(0, 3), cosines | st.just(np.nan), st.sampled_from("pn-"))


def arrays(rows):
    query, cosine, role = (np.array(column) for column in zip(*rows, strict=True))
    return query, cosine.astype(float), role == "p", role == "n"


def by_torch(query, cosine, positive, negative):
    """Each row's loss, the gradient on its positive, and whether a negative is as near."""
    for row in np.flatnonzero(positive & np.isfinite(cosine)):
        others = np.flatnonzero(negative & (query == query[row]) & np.isfinite(cosine))
        if len(others):
            logits = torch.tensor(SCALES["cosine"] * cosine[[row, *others]], requires_grad=True)
            loss = torch.nn.functional.cross_entropy(logits[None], torch.tensor([0]))
            loss.backward()
            gradient = logits.grad.numpy()
            nearest = cosine[others].max() >= cosine[row]
            yield loss.item(), -gradient[0], nearest


@given(st.lists(candidates, min_size=1, max_size=24))
def test_sums_are_the_loss_and_the_gradients_of_torch(rows):
    given_ = arrays(rows)
    expected = np.array(list(by_torch(*given_))).reshape(-1, 3)
    found = sums(*given_)
    assert found["rows"] == len(expected)
    assert found["overtaken"] == expected[:, 2].sum()
    assert found["easy"] == (expected[:, 1] < EASY).sum()
    for name, column in (("loss", 0), ("push", 1)):
        np.testing.assert_allclose(found[name] / MILLION, expected[:, column].sum(), atol=1e-4)


@given(st.lists(candidates, min_size=1, max_size=24), st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_the_cut_into_parts_changes_a_sum(rows, random):
    whole = sums(*arrays(rows))
    shuffled = random.sample(rows, len(rows))
    assert sums(*arrays(shuffled)) == whole
    parts = [[row for row in shuffled if row[0] == query] for query in {row[0] for row in rows}]
    added = [sums(*arrays(part)) for part in parts]
    assert {name: sum(part[name] for part in added) for name in whole} == whole


@given(st.lists(candidates, min_size=1, max_size=24), st.integers(0, 23), st.floats(0, 0.5))
def test_a_nearer_negative_never_makes_a_row_easier(rows, at, nearer):
    query, cosine, positive, negative = arrays(rows)
    moved = cosine.copy()
    moved[at % len(rows)] += nearer * negative[at % len(rows)]
    before, after = (sums(query, one, positive, negative) for one in (cosine, moved))
    assert after["loss"] >= before["loss"]
    assert after["push"] >= before["push"]
    assert after["easy"] <= before["easy"]


def gradients(query, cosine, positive, negative):
    """The gradient on every candidate, over all rows, by torch."""
    total = np.zeros(len(query))
    for row in np.flatnonzero(positive & np.isfinite(cosine)):
        others = np.flatnonzero(negative & (query == query[row]) & np.isfinite(cosine))
        if len(others):
            logits = torch.tensor(SCALES["cosine"] * cosine[[row, *others]], requires_grad=True)
            torch.nn.functional.cross_entropy(logits[None], torch.tensor([0])).backward()
            total[others] += logits.grad.numpy()[1:]
    return total


@given(st.lists(candidates, min_size=1, max_size=24), st.data())
def test_the_gradient_of_each_origin_is_that_of_torch_and_all_add_up(rows, data):
    origin = np.array([data.draw(st.sampled_from(["bm25", "dense", "bm25 + dense"])) for _ in rows])
    given_ = arrays(rows)
    total = gradients(*given_)
    found = sums(*given_, origin)
    for name in set(origin):
        expected = total[origin == name]
        of_it = found.get(f"push_of {name}", 0) / MILLION
        np.testing.assert_allclose(of_it, expected.sum(), atol=1e-4)
        assert found.get(f"negatives_of {name}", 0) == np.count_nonzero(expected)
    parts = Counter()
    for query in set(given_[0]):
        here = given_[0] == query
        parts.update(sums(*(column[here] for column in given_), origin[here]))
    assert dict(parts) == found
    shares = Hardness.of(found)
    if shares:
        for kind in ("negatives", "gradient"):
            added = sum(share[kind] for share in shares.origins.values())
            assert added == pytest.approx(1) or not total.round(6).any()


def by_pairs(query, score, positive, negative):
    """The AUC of a score within queries, pair by pair."""
    shares = []
    for one in set(query.tolist()):
        known = (query == one) & np.isfinite(score)
        good, bad = score[known & positive], score[known & negative]
        if len(good) and len(bad):
            shares.append((np.sign(good[:, None] - bad[None]) / 2 + 0.5).mean())
    return np.mean(shares) if shares else None


@given(st.lists(candidates, min_size=1, max_size=24), st.randoms(use_true_random=False))
def test_shortcuts_and_ranks_are_sums_over_any_parts(rows, random):
    query, score, positive, negative = arrays(rows)
    expected = by_pairs(query, score, positive, negative)
    added = Counter(rows=1, loss=0, push=0, easy=0, overtaken=0)
    added.update(sums_of_ranks(score[negative]))
    shuffled = random.sample(rows, len(rows))
    for part in ([row for row in shuffled if row[0] == one] for one in set(query)):
        of_query, of_score, good, bad = arrays(part)
        added.update(sums_of_shortcuts(of_query, good, bad, {"bm25": of_score}))
    found = Hardness.of(added)
    if expected is None:
        assert found.shortcuts == {}
    else:
        assert found.shortcuts["bm25"] == pytest.approx(max(expected, 1 - expected), abs=1e-5)
    ranks = score[negative & np.isfinite(score)]
    assert found.rank == (pytest.approx(ranks.mean(), abs=1e-5) if len(ranks) else None)


def test_the_sentences_are_facts_and_the_hardest_origin_comes_first():
    origins = {
        "dense": {"negatives": 0.25, "gradient": 0.875},
        "bm25": {"negatives": 0.25, "gradient": 0.125},
        "random": {"negatives": 0.5, "gradient": 0.0},
    }
    first, second = Hardness(10, 1.0, 0.5, 0.25, 0.125, origins).sentences()
    assert first == (
        "Hardness: initial loss 1.00; 50.0% of the maximum gradient. In 12% of the rows a negative "
        "scores as high as the positive; in 25% the gradient is below 5% of the maximum."
    )
    assert second.endswith("dense 88% (25%), bm25 12% (25%), random 0% (50%).")
    assert len(list(Hardness(10, 1.0, 0.5, 0, 0.5, {"dense": origins["dense"]}).sentences())) == 1


def test_the_verdict_of_earlier_versions_is_not_read(tmp_path):
    numbers = {"rows": 4, "loss": 1.0, "push": 0.5, "easy": 0.0, "overtaken": 0.5}
    old = {"verdict": "poisonous", "push_relevant": 0.3, "origins": {}, **numbers}
    (tmp_path / "hardness.json").write_text(json.dumps(old))
    found = Hardness.read(tmp_path / "hardness.json")
    assert found == Hardness(**numbers)
    assert "verdict" not in found.as_json()


def test_why_there_is_nothing_to_say():
    assert "no bi-encoder" in why_unknown(["bm25"])
    assert "no positive has a negative" in why_unknown(["bm25", "dense"])


def test_nothing_is_said_of_no_rows():
    assert Hardness.of({}) is None
    assert Hardness.of(sums(*arrays([(0, 0.5, "p")]))) is None


@pytest.fixture(scope="module")
def folders(stdlib, tmp_path_factory):
    """Indexes and candidates of the standard library, with and without a bi-encoder."""
    root = tmp_path_factory.mktemp("hardness")
    corpus, pairs = stdlib / "corpus.parquet", stdlib / "pairs.parquet"
    for name, dense in (
        ("both", {"encoder": ENCODER, "max_length": 48}),
        ("bm25", {"dense": False}),
    ):
        api.build_index(corpus=corpus, pairs=pairs, index=root / name, progress=False, **dense)
        api.mine(index=root / name, pairs=pairs, output=root / f"{name}-c", progress=False)
    return root


def report(mined):
    done = hnmine("report", mined)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_filter_writes_what_a_student_would_see_of_the_chosen(folders, tmp_path):
    result = api.filter(candidates=folders / "both-c", output=tmp_path / "m", progress=False)
    table = pq.read_table(tmp_path / "m" / "scored").to_pydict()
    query = np.unique(table["query_id"], return_inverse=True)[1]
    columns = [np.array(table[name]) for name in ("dense_score", "is_positive", "selected")]
    rows = np.array(list(by_torch(query, *columns)))
    found = json.loads((tmp_path / "m" / "hardness.json").read_text())
    assert found["rows"] == len(rows) > 30
    names = ("loss", "push", "overtaken")
    np.testing.assert_allclose([found[name] for name in names], rows.mean(axis=0), atol=1e-5)
    bm25 = np.array(table["bm25_score"], dtype=float)
    texts = Index(folders / "both").documents
    length = texts.find_ids(table["doc_id"])
    length = np.array([len(text.encode()) for text in texts.texts(length)], dtype=float)
    for name, score in (("bm25", bm25), ("length", length)):
        auc = by_pairs(query, score, *columns[1:])
        assert found["shortcuts"][name] == pytest.approx(max(auc, 1 - auc), abs=1e-5)
    places = np.array([
        ((query == query[row]) & ~columns[1] & (columns[0] > columns[0][row])).sum()
        for row in np.flatnonzero(columns[2])
    ])  # fmt: skip
    assert found["rank"] == pytest.approx(places.mean(), abs=0.02)  # Ties go by row.
    uses = Counter(np.array(table["doc_id"])[columns[2]].tolist())
    assert found["most_uses"] == max(uses.values()) > 1
    total = gradients(query, *columns)
    ranks = (table["bm25_rank"], table["dense_rank"])
    named = [
        " + ".join(s for s, rank in zip(("bm25", "dense"), pair, strict=True) if rank is not None)
        for pair in zip(*ranks, strict=True)
    ]
    by_origin = Counter()
    for name, gradient in zip(named, total, strict=True):
        by_origin[name] += gradient
    assert len(found["origins"]) > 1
    for name, share in found["origins"].items():
        assert share["gradient"] == pytest.approx(by_origin[name] / total.sum(), abs=1e-4)
    assert not any("hardness" in name for name in result.counts)
    (said,) = (note for note in result.notes if note.startswith("Hardness"))
    assert f"Hardness: initial loss {found['loss']:.2f}; " in said
    (parts,) = (note for note in result.notes if note.startswith("Gradient by source"))
    lines = list(result.lines())
    assert said in lines
    assert parts not in lines
    shown = report(tmp_path / "m")
    summary = f"mean loss {found['loss']:.2f}"
    assert any(line.startswith("hardness") and summary in line for line in shown)
    assert said in " ".join((tmp_path / "m" / "report.html").read_text().split())


def test_without_a_bi_encoder_there_is_no_hardness(folders, tmp_path):
    result = api.filter(candidates=folders / "bm25-c", output=tmp_path / "m", progress=False)
    assert result.notes[-2] == why_unknown(["bm25"])
    assert json.loads((tmp_path / "m" / "hardness.json").read_text()) == {}
    shown = report(tmp_path / "m")
    assert any("unknown, as no bi-encoder" in line for line in shown)
    assert "Unknown: no bi-encoder scored" in (tmp_path / "m" / "report.html").read_text()
