"""Mixtures: the formulas of their papers in float64, and what `hnmine mix` writes."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, content, rows, write
from hypothesis import given
from hypothesis import strategies as st

import hnmine as api
from hnmine import schema
from hnmine.config.generate_settings import MIXTURES
from hnmine.errors import UsageError
from hnmine.extras.mixing.mixtures import Parents, arc_weights, materialise, mixtures


def unit(*shape, seed=0):
    found = np.random.default_rng(seed).normal(size=shape)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def parents(negatives=6, positives=2, name="q", dimension=16):
    return Parents(
        name,
        unit(dimension, seed=1),
        unit(negatives + positives, dimension, seed=2),
        list(range(negatives)),
        list(range(negatives, negatives + positives)),
    )


def drawn(by, n=200, seed=0, neighbours=5, **more):
    return list(mixtures(by, n, parents(**more), seed, neighbours))


class TestFormulas:
    @given(st.integers(0, 1000), st.floats(0, 1))
    def test_the_arc_is_that_of_shoemake(self, seed, share):
        a, b = unit(2, 12, seed=seed)
        angle = np.arccos(a @ b)
        first, second = arc_weights(share, angle)
        point = first * a + second * b
        assert np.linalg.norm(point) == pytest.approx(1)
        # As far along the arc as it says, and in the plane of the two.
        assert np.arccos(np.clip(point @ b, -1, 1)) == pytest.approx(share * angle, abs=1e-6)
        assert np.arccos(np.clip(point @ a, -1, 1)) == pytest.approx((1 - share) * angle, abs=1e-6)

    def test_the_ends_are_the_parents_and_equal_parents_give_themselves(self):
        a, b = unit(2, 12)
        for share, end in ((1.0, a), (0.0, b)):
            first, second = arc_weights(share, float(np.arccos(a @ b)))
            assert first * a + second * b == pytest.approx(end)
        assert sum(arc_weights(0.3, 0.0)) == pytest.approx(1)
        assert materialise(a[None], -a[None], np.array([0.5]), np.array([0.5])).tolist() == [
            [0.0] * 12
        ]

    @given(st.integers(0, 1000), st.floats(0, 1))
    def test_a_mixture_is_the_sum_brought_to_length_one(self, seed, alpha):
        a, b = unit(2, 7, seed=seed)
        (found,) = materialise(a[None], b[None], np.array([alpha]), np.array([1 - alpha]))
        plain = alpha * a + (1 - alpha) * b
        assert found == pytest.approx(plain / np.sqrt((plain**2).sum()))

    def test_weights_are_within_the_limits_of_their_papers(self):
        for mixture in drawn("mochi"):
            assert mixture.first is not None and mixture.first != mixture.second
            assert 0 <= mixture.second_weight < 1
            assert mixture.first_weight + mixture.second_weight == pytest.approx(1)
        for mixture in drawn("mochi-query"):
            assert mixture.first is None and mixture.second < 6
            assert 0 <= mixture.first_weight < 0.5
            assert mixture.first_weight + mixture.second_weight == pytest.approx(1)
        query, documents = parents().query, parents().documents
        for mixture in drawn("m2-mix"):
            assert mixture.first is None and mixture.second >= 6
            point = mixture.first_weight * query + mixture.second_weight * documents[mixture.second]
            assert np.linalg.norm(point) == pytest.approx(1)

    def test_the_query_comes_nearer_by_mixing_it_in(self):
        given_ = parents()
        for mixture in drawn("mochi-query"):
            parent = given_.documents[mixture.second]
            (mixed,) = materialise(
                given_.query[None],
                parent[None],
                np.array([mixture.first_weight]),
                np.array([mixture.second_weight]),
            )
            assert mixed @ given_.query >= parent @ given_.query - 1e-12

    def test_shares_have_the_distributions_of_their_papers(self):
        many = 4000
        alpha = np.array([mixture.first_weight for mixture in drawn("mochi", many)])
        beta = np.array([mixture.first_weight for mixture in drawn("mochi-query", many)])
        assert alpha.mean() == pytest.approx(0.5, abs=0.02)
        assert alpha.var() == pytest.approx(1 / 12, abs=0.005)
        assert beta.mean() == pytest.approx(0.25, abs=0.01)
        angle = np.arccos(parents().documents @ parents().query)
        share = []
        for mixture in drawn("m2-mix", many):
            whole = angle[mixture.second]
            share.append(np.arcsin(mixture.first_weight * np.sin(whole)) / whole)
        # Beta(0.5, 0.5) has a mean of 1/2 and a third below 1/4, as it has above 3/4. Beyond a
        # right angle the arcsine has another branch, so that only the others are looked at.
        share = np.array(share)[[angle[m.second] < np.pi / 2 for m in drawn("m2-mix", many)]]
        if len(share) > 500:
            assert (share < 0.25).mean() == pytest.approx(1 / 3, abs=0.04)
            assert (share > 0.75).mean() == pytest.approx(1 / 3, abs=0.04)

    def test_smote_draws_from_the_nearest_alone(self):
        documents = parents().documents
        partners = {}
        for mixture in drawn("smote", 500, neighbours=2):
            partners.setdefault(mixture.first, set()).add(mixture.second)
        for first, seconds in partners.items():
            distance = np.linalg.norm(documents[:6] - documents[first], axis=1)
            assert seconds == set(np.argsort(distance)[1:3].tolist())

    @pytest.mark.parametrize("by", MIXTURES)
    def test_draws_depend_on_seed_and_query_alone(self, by):
        assert drawn(by, 5) == drawn(by, 5) == drawn(by, 9)[:5]
        assert drawn(by, 5) != drawn(by, 5, seed=1)
        assert drawn(by, 5) != drawn(by, 5, name="p")

    def test_nothing_is_made_up_where_parents_are_missing(self):
        assert drawn("mochi", negatives=1) == drawn("smote", negatives=1) == []
        assert drawn("mochi-query", negatives=0) == drawn("m2-mix", positives=0) == []
        assert len(drawn("mochi", 3, negatives=2)) == 3


@pytest.fixture(scope="module")
def mined(stdlib, tmp_path_factory):
    root = tmp_path_factory.mktemp("mix")
    pairs = pq.read_table(stdlib / "pairs.parquet").slice(0, 12)
    corpus = pq.read_table(stdlib / "corpus.parquet").slice(0, 60)
    pq.write_table(pairs, root / "pairs.parquet")
    pq.write_table(corpus, root / "corpus.parquet")
    given_ = {"corpus": str(root / "corpus.parquet"), "pairs": str(root / "pairs.parquet")}
    api.build_index(**given_, index=root / "i", encoder=ENCODER, max_length=32, shard_size=20)
    api.mine(
        pairs=given_["pairs"],
        index=root / "i",
        output=root / "c",
        source=["dense:20"],
        block_size=5,
    )
    api.filter(candidates=root / "c", output=root / "m", relative_margin=0.0, num_negatives=6)
    return root


def vectors(folder):
    """Every document's and query's vector by its id, read from the shards as they stand."""
    shards = [np.load(file) for file in sorted((folder / "dense/vectors").glob("*.npy"))]
    return np.concatenate(shards).astype(np.float64)


def test_recipes_and_vectors_are_the_formula_over_the_stored_vectors(mined, tmp_path):
    by = [f"{name}:3" for name in MIXTURES]
    result = api.mix(mined=mined / "m", output=tmp_path / "x", by=by, vectors=True)
    found = rows(tmp_path / "x" / "mixtures")
    made = np.concatenate([np.load(f) for f in sorted((tmp_path / "x/vectors").glob("*.npy"))])
    assert len(found) == len(made) == result.counts["mixtures"] > 100
    assert made.dtype == np.float32
    assert np.linalg.norm(made, axis=1) == pytest.approx(1, abs=1e-6)
    document, query = {}, {}
    for store, folder, ids in (
        (document, mined / "i", "documents"),
        (query, mined / "c", "queries"),
    ):
        names = [
            name
            for file in sorted((folder / ids).glob("*.arrow"))
            for name in pa.ipc.open_file(file).read_all()["id"].to_pylist()
        ]
        rows_of = np.load(folder / ids / "canonical.npy")
        store.update(zip((names[row] for row in rows_of), vectors(folder), strict=True))
    scored = rows(mined / "m" / "scored")
    label = {(row["query_id"], row["doc_id"]): row["label"] for row in scored}
    for row, vector in zip(found, made, strict=True):
        first = query[row["query_id"]]
        if row["by"] in ("mochi", "smote"):
            first = document[row["first_id"]]
            assert label[row["query_id"], row["first_id"]] == 0
        else:
            assert row["first_id"] is None
        assert label[row["query_id"], row["second_id"]] == (1 if row["by"] == "m2-mix" else 0)
        plain = row["first_weight"] * first + row["second_weight"] * document[row["second_id"]]
        assert vector == pytest.approx(plain / np.linalg.norm(plain), abs=1e-6)
    assert pq.read_schema(tmp_path / "x/mixtures/00000.parquet").equals(schema.MIXED)


def test_mixtures_carry_the_weight_and_the_grade_of_their_parents(tmp_path):
    """SupReMix: a mixture lies between its parents, and so does its label."""
    words = ["oak", "elm", "ash", "fir", "yew", "fig"]
    texts = [f"the {one} beside the {other}" for one in words for other in words]
    write(tmp_path / "c.parquet", _id=[f"d{n}" for n in range(36)], text=texts)
    write(tmp_path / "q.parquet", _id=["q0", "q1"], text=["oak and elm", "yew and fig"])
    judged = [("q0", n, n % 4) for n in range(12)] + [("q1", n, n % 4) for n in range(8, 20)]
    query_id, document, score = zip(*judged, strict=True)
    ids = [f"d{n}" for n in document]
    write(tmp_path / "r.parquet", query_id=query_id, corpus_id=ids, score=score)
    api.build_index(corpus=str(tmp_path / "c.parquet"), encoder=ENCODER, index=tmp_path / "i")
    given_ = {"queries": str(tmp_path / "q.parquet"), "qrels": str(tmp_path / "r.parquet")}
    api.mine(**given_, min_grade=3, index=tmp_path / "i", source=["judged", "dense:20"],
             output=tmp_path / "c")  # fmt: skip
    api.filter(candidates=tmp_path / "c", output=tmp_path / "m", num_negatives=16, near_copy=2,
               order="-grade", weight="coalesce(1 - grade / 4, 1)")  # fmt: skip
    by = [f"{name}:20" for name in MIXTURES]
    api.mix(mined=tmp_path / "m", output=tmp_path / "x", by=by)
    scored = {(row["query_id"], row["doc_id"]): row for row in rows(tmp_path / "m" / "scored")}
    graded = Counter[bool]()
    for row in rows(tmp_path / "x" / "mixtures"):
        of_query = {"weight": None, "grade": 3.0}  # Like its best positive.
        parents = [
            scored[row["query_id"], row[name]] if row[name] else of_query
            for name in ("first_id", "second_id")
        ]
        shares = np.array([row["first_weight"], row["second_weight"]])
        shares /= shares.sum()
        weights = np.array([1.0 if one["weight"] is None else one["weight"] for one in parents])
        assert row["weight"] == pytest.approx(shares @ weights)
        grades = [one["grade"] for one in parents]
        graded[None in grades] += 1
        if None in grades:
            assert row["grade"] is None
        else:
            assert row["grade"] == pytest.approx(shares @ np.array(grades))
    assert graded[True] > 10 and graded[False] > 10


def test_the_same_again_and_without_vectors_the_same_recipes(mined, tmp_path):
    for name, more in (("a", {}), ("b", {}), ("c", {"vectors": True}), ("d", {"seed": 1})):
        api.mix(mined=mined / "m", output=tmp_path / name, **more)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    recipes = [rows(tmp_path / name / "mixtures") for name in "acd"]
    assert recipes[0] == recipes[1] != recipes[2]
    counts = json.loads((tmp_path / "a" / "manifest.json").read_text())["counts"]
    assert counts["mixtures"] == len(recipes[0])
    assert not (tmp_path / "a" / "vectors").exists()


def test_what_cannot_be_mixed_is_explained(mined, tmp_path):
    api.mine(
        pairs=str(mined / "pairs.parquet"),
        index=mined / "i",
        output=tmp_path / "c",
        source=["bm25"],
    )
    api.filter(candidates=tmp_path / "c", output=tmp_path / "m")
    with pytest.raises(UsageError, match="no vectors to mix"):
        api.mix(mined=tmp_path / "m", output=tmp_path / "x")
    for by, message in (
        ("mochi", "NAME:N"),
        ("mochi:0", "NAME:N"),
        ("mix:3", "none of mochi"),
        (["smote:1", "smote:2"], "each kind of mixture once"),
        ([], "each kind of mixture once"),
    ):
        with pytest.raises(UsageError, match=message):
            api.mix(mined=mined / "m", output=tmp_path / "x", by=by)
