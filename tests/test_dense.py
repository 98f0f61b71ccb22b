from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from conftest import open_files, soon_closed
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.errors import InputError, UsageError
from hnmine.index import dense_index
from hnmine.index.dense_index import COARSE_FROM, FAISS_FILE, DenseIndex
from hnmine.index.factory import build_faiss

PROPERTY = settings(max_examples=50, deadline=None)

NUMBERS = count()


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float32)
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def random_vectors(seed, rows, dimension):
    return unit(np.random.default_rng(seed).normal(size=(rows, dimension)))


def awkward_vectors(seed, rows, dimension):
    """Unit vectors of which many are exactly or almost equal."""
    random = np.random.default_rng(seed)
    distinct = random.normal(size=(max(1, rows // 4), dimension))
    vectors = distinct[random.integers(len(distinct), size=rows)]
    noise = random.choice([0, 0, 1e-8, 1e-7, 1e-6], size=(rows, 1))
    return unit(vectors + noise * random.normal(size=vectors.shape))


def store(folder, vectors, shard_rows, factory=None):
    directory = folder / f"dense{next(NUMBERS)}"
    (directory / "vectors").mkdir(parents=True)
    shards = []
    for number, start in enumerate(range(0, len(vectors), shard_rows)):
        shards.append(directory / "vectors" / f"{number:05d}.npy")
        np.save(shards[-1], vectors[start : start + shard_rows])
    if factory:
        assert build_faiss(factory, shards, directory / FAISS_FILE, 1) == {"indexed": len(vectors)}
    return directory


def test_an_index_that_is_let_go_closes_its_files(tmp_path, collector_off):
    vectors = random_vectors(0, 40, 8)
    directory = store(tmp_path, vectors, 5)
    assert soon_closed(tmp_path)
    for _ in range(3):
        index = DenseIndex(directory, 1)
        index.similarity(np.arange(40), np.arange(40)[::-1])
        assert open_files(tmp_path) > 0
        del index
        assert soon_closed(tmp_path)


def resident(directory):
    """The kilobytes of the files in a directory that this process has in memory."""
    kilobytes, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line[0] in "0123456789abcdef":
            inside = line.endswith(".npy") and str(directory) in line
        elif inside and line.startswith("Rss:"):
            kilobytes += int(line.split()[1])
    return kilobytes


@pytest.mark.parametrize("bf16", [True, False])
def test_no_vectors_stay_in_memory(tmp_path, monkeypatch, bf16):
    monkeypatch.setattr(dense_index, "computes_in_bf16", lambda device: bf16)
    vectors = random_vectors(0, 8192, 64)
    directory = store(tmp_path, vectors, 1024)
    index = DenseIndex(directory, 1)
    whole = np.asarray(np.load(directory / "vectors" / "00003.npy", mmap_mode="r"))
    assert whole.sum() != 0
    assert resident(directory) >= whole.nbytes / 1024
    del whole
    k = np.full(COARSE_FROM, 10)
    assert lists(index.search(vectors[:COARSE_FROM], k)) == brute_force(
        vectors[: len(k)], vectors, k
    )
    index.similarity(np.arange(8192), np.arange(8192)[::-1])
    index.read(np.arange(0, 8192, 7))
    # The headers of the files.
    assert resident(directory) <= 8 * 64


def mapped(directory):
    """The names of the mapped files in a directory."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {Path(line.split()[-1]).name for line in lines if str(directory) in line}


@pytest.mark.parametrize(("rows", "whole"), [(63, False), (64, True)])
def test_a_shard_is_mapped_only_for_many_of_its_rows(tmp_path, rows, whole):
    vectors = random_vectors(0, 3000, 8)
    directory = store(tmp_path, vectors, 1024)
    index = DenseIndex(directory, 1)
    slots = 1024 + np.random.default_rng(0).integers(1024, size=rows)
    assert index.read(slots).tolist() == vectors[slots].tolist()
    scores = index.score_pairs(vectors[:2], np.zeros(rows, np.int64), slots)
    assert scores.tolist() == exact_scores(vectors[0], vectors)[slots].tolist()
    assert ("00001.npy" in mapped(directory)) == whole


def test_a_shard_that_becomes_shorter_is_refused(tmp_path):
    directory = store(tmp_path, random_vectors(0, 3000, 8), 1024)
    index = DenseIndex(directory, 1)
    assert len(index.read(np.array([2047])))
    path = directory / "vectors" / "00001.npy"
    os.truncate(path, path.stat().st_size - 1)
    assert len(index.read(np.array([2046])))
    with pytest.raises(InputError, match=r"00001\.npy"):
        index.read(np.array([2047]))


def exact_scores(query, vectors):
    """The dot products in float64, rounded once to float32."""
    products = vectors.astype(np.float64) * query.astype(np.float64)
    return products.sum(axis=1).astype(np.float32)


def lists(ranking):
    bounds = zip(ranking.offsets[:-1], ranking.offsets[1:], strict=True)
    return [(ranking.slots[a:b].tolist(), ranking.scores[a:b].tolist()) for a, b in bounds]


def brute_force(queries, vectors, k):
    found = []
    for query, length in zip(queries, k, strict=True):
        scores = exact_scores(query, vectors)
        order = np.lexsort((np.arange(len(vectors)), -scores))[:length]
        found.append((order.tolist(), scores[order].tolist()))
    return found


@PROPERTY
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 120), st.sampled_from([2, 3, 8, 33])),
    shard_rows=st.integers(1, 130),
    k=st.lists(st.integers(1, 130), min_size=1, max_size=5),
    threads=st.integers(1, 2),
)
def test_search_is_what_all_products_give(tmp_path_factory, seed, shape, shard_rows, k, threads):
    vectors = awkward_vectors(seed, *shape)
    queries = unit(
        np.concatenate([random_vectors(seed, len(k), shape[1]), vectors])[
            np.random.default_rng(seed).permutation(len(k) + shape[0])[: len(k)]
        ]
    )
    index = DenseIndex(store(tmp_path_factory.mktemp("dense"), vectors, shard_rows), threads)
    assert lists(index.search(queries, np.array(k))) == brute_force(queries, vectors, k)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    factory=st.sampled_from(["IVF4,Flat", "IVF3,SQ8", "PCA4,IVF2,Flat"]),
    shard_rows=st.integers(1, 300),
    training=st.sampled_from([60, 100, 10**6]),
)
def test_shards_share_one_trained_quantiser(tmp_path_factory, seed, factory, shard_rows, training):
    vectors = random_vectors(seed, 300, 8)
    folder = tmp_path_factory.mktemp("dense")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hnmine.index.factory.TRAINING_VECTORS", training)
        whole, cut = (store(folder, vectors, rows, factory) for rows in (300, shard_rows))
    assert (whole / FAISS_FILE).read_bytes() == (cut / FAISS_FILE).read_bytes()


@pytest.mark.parametrize("shard_rows", [1000, 170])
@pytest.mark.parametrize("spread", [0, 1e-8, 1e-7, 1e-6])
@pytest.mark.parametrize("dimension", [4, 384])
def test_a_crowd_of_near_ties_is_ranked_exactly(tmp_path, shard_rows, spread, dimension):
    random = np.random.default_rng(dimension)
    centre = random.normal(size=dimension)
    vectors = unit(centre + spread * random.normal(size=(1000, dimension)))
    queries = unit([centre, random.normal(size=dimension)])
    k = [5, 40]
    index = DenseIndex(store(tmp_path, vectors, shard_rows), 1)
    assert lists(index.search(queries, np.array(k))) == brute_force(queries, vectors, k)


@pytest.mark.parametrize("shard_rows", [12000, 5000])
@pytest.mark.parametrize("spread", [0, 1e-7])
def test_ten_thousand_near_ties_are_still_ordered_by_score_then_slot(tmp_path, shard_rows, spread):
    """A passage that differs only after the model's last token has many exact neighbours."""
    random = np.random.default_rng(1)
    centre = random.normal(size=16)
    vectors = unit(centre + spread * random.normal(size=(12000, 16)))
    query = unit([centre])
    index = DenseIndex(store(tmp_path, vectors, shard_rows), 1)
    assert lists(index.search(query, np.array([10]))) == brute_force(query, vectors, [10])


@pytest.mark.parametrize("k", [[0, 3], [3, 0, 200], [0], [0, 0], [0, 100]])
def test_no_documents_are_found_for_a_query_that_asks_for_none(tmp_path, k):
    vectors, queries = random_vectors(0, 90, 8), random_vectors(1, len(k), 8)
    index = DenseIndex(store(tmp_path, vectors, 40), 1)
    assert lists(index.search(queries, np.array(k))) == brute_force(queries, vectors, k)


def test_more_than_there_is_gives_all_there_is(tmp_path):
    vectors, queries = random_vectors(0, 50, 8), random_vectors(1, 3, 8)
    index = DenseIndex(store(tmp_path, vectors, 7), 1)
    found = lists(index.search(queries, np.array([50, 51, 10**6])))
    assert found == brute_force(queries, vectors, [50, 50, 50])


def test_a_query_finds_the_same_alone_as_in_any_block(tmp_path):
    vectors, queries = awkward_vectors(3, 700, 24), awkward_vectors(4, 40, 24)
    k = np.random.default_rng(5).integers(1, 300, size=40)
    index = DenseIndex(store(tmp_path, vectors, 300), 1)
    together = lists(index.search(queries, k))
    alone = [lists(index.search(queries[n : n + 1], k[n : n + 1]))[0] for n in range(40)]
    backwards = lists(index.search(np.ascontiguousarray(queries[::-1]), k[::-1]))[::-1]
    assert together == alone == backwards == brute_force(queries, vectors, k)


@pytest.mark.parametrize("factory", [None, "IVF4,Flat", "PQ4x4"])
def test_the_number_of_threads_changes_nothing(tmp_path, factory):
    vectors, queries = awkward_vectors(3, 500, 16), random_vectors(4, 30, 16)
    directory = store(tmp_path, vectors, 200, factory)
    k = np.full(30, 20)
    one, two = (lists(DenseIndex(directory, threads).search(queries, k)) for threads in (1, 2))
    assert one == two


@PROPERTY
@given(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.lists(st.lists(st.integers(0, 59), max_size=9), min_size=1, max_size=5),
)
def test_score_is_the_product_of_each_given_pair(tmp_path_factory, seed, shard_rows, slots):
    vectors, queries = random_vectors(seed, 60, 16), random_vectors(seed + 1, len(slots), 16)
    index = DenseIndex(store(tmp_path_factory.mktemp("dense"), vectors, shard_rows), 1)
    offsets = np.cumsum([0, *map(len, slots)])
    flat = np.array([slot for some in slots for slot in some], dtype=np.int64)
    scores = index.score(queries, offsets, flat)
    for query, some, start in zip(queries, slots, offsets[:-1], strict=True):
        expected = exact_scores(query, vectors)[some]
        assert scores[start : start + len(some)].tolist() == expected.tolist()


def test_search_and_score_agree_over_more_pairs_than_one_block(tmp_path):
    vectors, queries = random_vectors(0, 1500, 4), random_vectors(1, 30, 4)
    index = DenseIndex(store(tmp_path, vectors, 400), 1)
    ranking = index.search(queries, np.full(30, 1500))
    assert len(ranking.slots) == 45000
    assert index.score(queries, ranking.offsets, ranking.slots).tolist() == ranking.scores.tolist()


FACTORIES = ["IVF4,Flat", "IVF32,Flat", "PQ4x4", "PCA8,IVF4,Flat", "SQ8", "IVF4,SQ8"]


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("vectors", [random_vectors(0, 400, 16), awkward_vectors(0, 400, 16)])
def test_an_approximate_index_gives_exact_scores_and_all_that_was_asked(tmp_path, factory, vectors):
    queries = random_vectors(1, 6, 16)
    k = [1, 10, 100, 399, 400, 5000]
    index = DenseIndex(store(tmp_path, vectors, 150, factory), 1)
    found = lists(index.search(queries, np.array(k)))
    for query, length, (slots, scores) in zip(queries, k, found, strict=True):
        assert len(slots) == len(set(slots)) == min(length, 400)
        assert min(slots) >= 0
        assert scores == exact_scores(query, vectors)[slots].tolist()
        order = [(-score, slot) for score, slot in zip(scores, slots, strict=True)]
        assert order == sorted(order)


@pytest.mark.parametrize("factory", ["PQ8x4", "PQ8x4fs", "SQ4", "PCA4,Flat", "HNSW16,SQ4"])
def test_compressed_codes_propose_eight_times_as_many_as_are_wanted(tmp_path, factory):
    import faiss

    vectors, queries = random_vectors(2, 3000, 16), random_vectors(3, 20, 16)
    directory = store(tmp_path, vectors, 1000, factory)
    found = lists(DenseIndex(directory, 1).search(queries, np.full(20, 12)))
    proposed = faiss.read_index(str(directory / FAISS_FILE)).search(queries, 128)[1]
    for query, slots, (best, _) in zip(queries, proposed, found, strict=True):
        scores = exact_scores(query, vectors)
        assert best == sorted(slots.tolist(), key=lambda slot: (-scores[slot], slot))[:12]


def test_an_inverted_file_that_looks_into_every_list_is_exact(tmp_path):
    vectors, queries = awkward_vectors(2, 600, 16), random_vectors(3, 10, 16)
    directory = store(tmp_path, vectors, 250, "IVF4,Flat")
    k = np.full(10, 30)
    narrow = DenseIndex(directory, 1, "nprobe=1")
    wide = DenseIndex(directory, 1, "nprobe=4")
    truth = brute_force(queries, vectors, k)
    assert lists(wide.search(queries, k)) == truth
    assert lists(narrow.search(queries, k)) != truth


def test_a_deep_search_leaves_later_searches_as_narrow_as_they_were(tmp_path):
    vectors, queries = random_vectors(2, 600, 16), random_vectors(3, 10, 16)
    index = DenseIndex(store(tmp_path, vectors, 250, "IVF16,Flat"), 1)
    before = lists(index.search(queries, np.full(10, 5)))
    assert all(len(slots) == 600 for slots, _ in lists(index.search(queries, np.full(10, 600))))
    assert lists(index.search(queries, np.full(10, 5))) == before


@pytest.mark.parametrize("factory", ["HNSW16", "HNSW32"])
def test_a_graph_finds_as_many_documents_as_were_asked(tmp_path, factory):
    """A graph of 400 points reaches some 90 of the 100 nearest, and says so with -1."""
    vectors, queries = random_vectors(2, 400, 8), random_vectors(3, 20, 8)
    index = DenseIndex(store(tmp_path, vectors, 150, factory), 1)
    found = lists(index.search(queries, np.full(20, 100)))
    assert [len(slots) for slots, _ in found] == [100] * 20


@pytest.mark.parametrize("factory", ["Nonsense", "IVF4,", "PQ3x4", "IVF100,Flat"])
def test_an_index_that_faiss_cannot_build_is_a_usage_error(tmp_path, factory):
    with pytest.raises(UsageError, match="--faiss"):
        store(tmp_path, random_vectors(0, 50, 16), 20, factory)


def test_search_parameters_that_do_not_apply_are_a_usage_error(tmp_path):
    vectors = random_vectors(0, 100, 8)
    with pytest.raises(UsageError, match="--faiss-search"):
        DenseIndex(store(tmp_path, vectors, 50), 1, "nprobe=4")
    index = DenseIndex(store(tmp_path, vectors, 50, "IVF4,Flat"), 1, "nonsense=4")
    with pytest.raises(UsageError, match="--faiss-search"):
        index.search(vectors[:1], np.array([3]))


def of_any_length(seed, rows, dimension, crowded):
    """Vectors whose lengths vary by 1,000, some equal, some almost, some zeros."""
    random = np.random.default_rng(seed)
    vectors = (
        awkward_vectors(seed, rows, dimension) if crowded else random_vectors(seed, rows, dimension)
    )
    lengths = 10 ** random.uniform(-1.5, 1.5, size=(rows, 1))
    if crowded:
        lengths = random.choice([0, 0.03, 1, 1, 30], size=(rows, 1))
    return (vectors * lengths).astype(np.float32)


def slow_search(queries, vectors, k):
    """By all dot products, without what is zeros."""
    there = np.flatnonzero(vectors.any(axis=1))
    found = []
    for query, length in zip(queries, k, strict=True):
        scores = exact_scores(query, vectors[there])
        order = np.lexsort((there, -scores))[: length if query.any() else 0]
        found.append((there[order].tolist(), scores[order].tolist()))
    return found


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 200), st.sampled_from([1, 2, 3, 8, 33, 384])),
    shard_rows=st.integers(1, 210),
    k=st.lists(st.integers(0, 210), min_size=1, max_size=5),
    crowded=st.booleans(),
    many=st.booleans(),
    bf16=st.booleans(),
)
def test_dot_products_of_vectors_of_any_length_are_ranked_exactly(
    tmp_path_factory, seed, shape, shard_rows, k, crowded, many, bf16
):
    vectors = of_any_length(seed, *shape, crowded)
    k = np.array(k * (COARSE_FROM if many else 1))
    queries = of_any_length(seed + 1, len(k), shape[1], crowded)
    queries[:: 1 + len(k) // 2] = vectors[0]
    directory = store(tmp_path_factory.mktemp("dot"), vectors, shard_rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense_index, "computes_in_bf16", lambda device: bf16)
        index = DenseIndex(directory, 1, similarity="dot")
        assert lists(index.search(queries, k)) == slow_search(queries, vectors, k)


@pytest.mark.parametrize("widest", [64, 4096])
@pytest.mark.parametrize("bf16", [True, False])
def test_many_dot_products_are_ranked_exactly(tmp_path, monkeypatch, widest, bf16):
    """With more documents than a search asks for at first, and near ties among the longest."""
    monkeypatch.setattr(dense_index, "WIDEST", widest)
    monkeypatch.setattr(dense_index, "computes_in_bf16", lambda device: bf16)
    vectors = np.concatenate([of_any_length(n, 1500, 24, n % 2) for n in range(4)])
    vectors = np.random.default_rng(9).permutation(vectors)
    queries = of_any_length(8, 80, 24, crowded=False)
    k = np.random.default_rng(7).integers(1, 200, size=80)
    index = DenseIndex(store(tmp_path, vectors, 1700), 2, similarity="dot")
    assert lists(index.search(queries, k)) == slow_search(queries, vectors, k)


@pytest.mark.parametrize("factory", ["IVF4,Flat", "PQ4x4", "HNSW8", "IVF2,SQ8"])
def test_an_approximate_index_of_dot_products_gives_exact_scores_and_no_zeros(tmp_path, factory):
    vectors = of_any_length(1, 400, 16, crowded=True)
    queries = of_any_length(2, 20, 16, crowded=False)
    index = DenseIndex(store(tmp_path, vectors, 90, factory), 1, similarity="dot")
    there = int(vectors.any(axis=1).sum())
    found = index.search(queries, np.full(20, 400))
    assert np.diff(found.offsets).tolist() == [there] * 20
    expected = slow_search(queries, vectors, [400] * 20)
    assert [sorted(slots) for slots, _ in lists(found)] == [sorted(s) for s, _ in expected]
    few = lists(index.search(queries, np.full(20, 5)))
    for query, (slots, scores) in zip(queries, few, strict=True):
        assert len(slots) == 5
        assert scores == exact_scores(query, vectors)[slots].tolist()


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_zeros_have_no_score_and_are_no_neighbours(tmp_path, similarity):
    vectors = random_vectors(0, 50, 8)
    vectors[[3, 17]] = 0
    # Orthogonal to it, and no zeros: 0 is a score.
    vectors[5], vectors[6] = np.eye(8)[0], np.eye(8)[1]
    index = DenseIndex(store(tmp_path, vectors, 7), 1, similarity=similarity)
    queries = np.stack([vectors[5], np.zeros(8, np.float32)])
    assert lists(index.search(queries, np.array([50, 50]))) == slow_search(
        queries, vectors, [50, 50]
    )
    slots = np.array([3, 6, 17, 3, 6])
    scores = index.score(queries, np.array([0, 3, 5]), slots)
    np.testing.assert_array_equal(scores, [np.nan, 0, np.nan, np.nan, np.nan])
    similar = index.similarity(np.array([3, 5, 5]), np.array([3, 6, 17]))
    np.testing.assert_array_equal(similar, [np.nan, 0, np.nan])


def test_pairs_of_documents_are_compared_by_cosine_whatever_their_lengths(tmp_path):
    vectors = of_any_length(3, 60, 12, crowded=False)
    index = DenseIndex(store(tmp_path, vectors, 25), 1, similarity="dot")
    one, other = np.arange(60), np.arange(60)[::-1]
    expected = (unit(vectors)[one] * unit(vectors)[other]).sum(axis=1)
    np.testing.assert_allclose(index.similarity(one, other), expected, atol=1e-6)
    np.testing.assert_allclose(index.directions(one), unit(vectors), atol=1e-6)


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize("spread", [1e-8, 1e-7, 1e-6])
def test_a_crowd_of_near_ties_of_long_vectors_is_ranked_exactly(
    tmp_path, monkeypatch, spread, bf16
):
    """What rounding may change grows with the lengths: a bound for length 1 leaves some out."""
    monkeypatch.setattr(dense_index, "computes_in_bf16", lambda device: bf16)
    random = np.random.default_rng(4)
    centre = random.normal(size=64)
    crowd = 300 * unit(centre + spread * random.normal(size=(2500, 64)))
    vectors = np.concatenate([crowd, of_any_length(5, 500, 64, crowded=False)])
    vectors = random.permutation(vectors)
    queries = (20 * unit(centre + 0.1 * random.normal(size=(70, 64)))).astype(np.float32)
    k = random.integers(1, 60, size=70)
    index = DenseIndex(store(tmp_path, vectors, 1100), 1, similarity="dot")
    assert lists(index.search(queries, k)) == slow_search(queries, vectors, k)


@pytest.mark.parametrize("bf16", [True, False])
def test_queries_of_several_depths_that_go_deep_together_are_not_confused(
    tmp_path, monkeypatch, bf16
):
    """Those that asked for 5 and for 40 come to ask for all documents in the same round."""
    monkeypatch.setattr(dense_index, "computes_in_bf16", lambda device: bf16)
    random = np.random.default_rng(4)
    centre = random.normal(size=16)
    vectors = unit(centre + 1e-7 * random.normal(size=(3000, 16)))
    queries = unit(centre + 0.5 * random.normal(size=(70, 16)))
    k = random.choice([5, 40, 100], size=70)
    index = DenseIndex(store(tmp_path, vectors, 1100), 1)
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)
