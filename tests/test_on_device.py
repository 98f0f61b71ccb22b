"""Search on a device gives the bytes of the CPU; here PyTorch's CPU is the device."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from conftest import ONNX_ENCODER, content
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import hnmine as api
from hnmine.commands.sharing import in_processes
from hnmine.config import MineSettings
from hnmine.encode import devices
from hnmine.errors import InputError
from hnmine.index import dense_index, device_search, device_vectors, on_device
from hnmine.index.dense_index import DenseIndex
from hnmine.index.device_search import DeviceSearch
from hnmine.index.device_vectors import DeviceVectors
from hnmine.index.on_device import OnDevice
from hnmine.runner import incidents, local_pool
from hnmine.runner.local_pool import run_workers
from tests.test_coarse import crowded_vectors
from tests.test_dense import (
    awkward_vectors,
    brute_force,
    exact_scores,
    lists,
    random_vectors,
    store,
    unit,
)

SMALL, LARGE = 5 << 20, 1 << 30


@pytest.fixture(autouse=True)
def _devices_are_used(monkeypatch):
    monkeypatch.setattr(dense_index, "WORTHWHILE", 0)
    on_device._shared.clear()


def opened(directory, budget=LARGE, similarity="cosine", threads=1):
    """An index whose device is PyTorch's CPU, and which may not search without it."""
    index = DenseIndex(directory, threads, similarity=similarity)
    index._on_device = OnDevice("cpu", budget)
    return index


def without_the_cpu(index, monkeypatch):
    """Let the CPU's own search fail."""

    def never(*given):
        raise AssertionError("The CPU was to search.")

    for way in ("_search_coarsely", "_propose", "_best_of_all"):
        monkeypatch.setattr(index, way, never)


def zeros_among(make):
    def made(seed, rows, dimension):
        vectors = make(seed, rows, dimension)
        vectors[np.random.default_rng(seed).random(rows) < 0.3] = 0
        return vectors

    return made


def of_lengths(make):
    def made(seed, rows, dimension):
        lengths = np.random.default_rng(seed).lognormal(sigma=1, size=(rows, 1))
        return np.float32(30 * lengths) * make(seed, rows, dimension)

    return made


def brute_force_without_zeros(queries, vectors, k):
    """The lists by all products in float64; zero vectors are in none."""
    found = []
    for query, length in zip(queries, k, strict=True):
        slots = np.flatnonzero(vectors.any(axis=1)) if query.any() else np.zeros(0, int)
        scores = exact_scores(query, vectors[slots])
        order = np.lexsort((slots, -scores))[:length]
        found.append((slots[order].tolist(), scores[order].tolist()))
    return found


KINDS = {
    "random": random_vectors,
    "near ties": awkward_vectors,
    "crowds": crowded_vectors,
    "zeros": zeros_among(awkward_vectors),
    "lengths": of_lengths(awkward_vectors),
    "lengths and zeros": zeros_among(of_lengths(random_vectors)),
}


@settings(max_examples=150, deadline=None, phases=[Phase.generate])
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 900),
    dimension=st.sampled_from([1, 2, 3, 17, 64]),
    shard_rows=st.integers(1, 400),
    k=st.lists(st.sampled_from([0, 1, 2, 7, 50, 300, 5000]), min_size=1, max_size=12),
    kind=st.sampled_from(sorted(KINDS)),
    blocks=st.sampled_from([64, 128, 1 << 18]),
    stay=st.integers(0, 20),
    at_once=st.integers(1, 9),
)
def test_a_device_finds_what_all_products_give(
    tmp_path_factory, seed, rows, dimension, shard_rows, k, kind, blocks, stay, at_once
):
    vectors = KINDS[kind](seed, rows, dimension)
    queries = np.concatenate([random_vectors(seed + 1, len(k), dimension), vectors])
    queries = queries[np.random.default_rng(seed).permutation(len(queries))[: len(k)]]
    similarity = "dot" if "lengths" in kind else "cosine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_vectors, "ROWS", blocks)
        patch.setattr(device_vectors, "MOST_QUERIES", at_once)
        patch.setattr(device_vectors, "STAGED", 100 * 4 * dimension * 16)
        directory = store(tmp_path_factory.mktemp("dense"), vectors, shard_rows)
        index = opened(directory, similarity=similarity, threads=2)
        without_the_cpu(index, patch)
        opening = index._on_device._opened(index)
        opening.vectors._may_stay = stay
        k = np.array(k)
        expected = brute_force_without_zeros(queries, vectors, k)
        assert lists(index.search(queries, k)) == expected
        # The second time, some or all vectors are on the device.
        assert lists(index.search(queries, k)) == expected


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 500),
    dimension=st.sampled_from([1, 2, 17, 64, 384, 1024]),
    k=st.integers(1, 40),
    kind=st.sampled_from(sorted(KINDS)),
)
def test_no_product_is_further_from_the_exact_one_than_the_bound(seed, rows, dimension, k, kind):
    vectors, queries = KINDS[kind](seed, rows, dimension), random_vectors(seed + 1, 6, dimension)
    queries *= np.array([[1e-3, 0.3, 1, 1.7, 40, 1e4]], np.float32).T
    there, read = on_a_device(vectors)
    search = DeviceSearch(there)
    (block,) = there.blocks(read)
    asked = device_search._Queries.of(queries, there)
    products = search.products(asked, block).numpy()[:, :rows]
    scales = np.ldexp(1.0, -np.frexp(np.linalg.norm(queries.astype(np.float64), axis=1))[1])
    exact = (queries * scales[:, None]) @ (vectors.astype(np.float64) * there.scale).T
    error = asked.error(there).numpy()[:, None]
    assert (np.abs(products - exact) <= error).all()
    # No document that is left out is as good as the k-th.
    wanted = np.full(6, min(k, rows))
    for part, found in search.propose(queries, wanted, read):
        for query in range(part.start, part.stop):
            mine = found.slots[found.query == query]
            others = np.setdiff1d(np.flatnonzero(vectors.any(axis=1)), mine)
            reach = found.least[query] if not found.certain[query] else -np.inf
            if found.certain[query] and len(others):
                best = np.sort(exact_scores(queries[query], vectors[mine]))[::-1]
                reach = best[min(wanted[query], len(best)) - 1]
                assert exact_scores(queries[query], vectors[others]).max() < reach


def on_a_device(vectors, scale=None):
    """Vectors on PyTorch's CPU device, and how they are read."""
    longest = float(np.linalg.norm(vectors, axis=1).max())
    scale = scale or (float(np.ldexp(1.0, -np.frexp(longest)[1])) if longest else 1.0)
    there = DeviceVectors(len(vectors), vectors.shape[1], scale, "cpu", LARGE)

    def read(start, target):
        target[:] = vectors[start : start + len(target)]

    return there, read


@pytest.mark.parametrize("kind", ["random", "lengths"])
def test_most_queries_need_one_pass_and_few_scores(tmp_path, monkeypatch, kind):
    vectors, queries = KINDS[kind](0, 20_000, 64), random_vectors(1, 40, 64)
    index = opened(
        store(tmp_path, vectors, 3000), similarity="dot" if kind == "lengths" else "cosine"
    )
    without_the_cpu(index, monkeypatch)
    scored = []
    score = index.score_pairs
    monkeypatch.setattr(
        index, "score_pairs", lambda *given: scored.append(given[2]) or score(*given)
    )
    monkeypatch.setattr(DeviceSearch, "collect", lambda *given: pytest.fail("A second pass."))
    k = np.full(40, 100)
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)
    assert sum(map(len, scored)) < 1.15 * k.sum()


@pytest.mark.parametrize("spread", [0, 1e-7, 1e-4])
def test_a_crowd_is_collected_on_the_device(tmp_path, monkeypatch, spread):
    random = np.random.default_rng(3)
    centre = random.normal(size=48)
    vectors = unit(centre + spread * random.normal(size=(3000, 48)))
    queries = unit(centre + 0.1 * random.normal(size=(30, 48)))
    index = opened(store(tmp_path, vectors, 900))
    without_the_cpu(index, monkeypatch)
    # Pairs of ten queries at most are collected at once.
    monkeypatch.setattr(device_search, "TOGETHER", 30_000)
    k = np.full(30, 10)
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)
    # With more for one query than may be collected, the CPU searches.
    monkeypatch.setattr(device_search, "TOGETHER", 100)
    with pytest.raises(AssertionError, match="The CPU was to search"):
        index.search(queries, k)
    monkeypatch.undo()
    monkeypatch.setattr(dense_index, "WORTHWHILE", 0)
    monkeypatch.setattr(device_search, "TOGETHER", 100)
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)


@pytest.mark.parametrize("fails", [1, 3, 99])
def test_out_of_memory_halves_the_blocks_and_is_noted(tmp_path, monkeypatch, fails):
    vectors, queries = random_vectors(0, 3000, 64), random_vectors(1, 20, 64)
    index = opened(store(tmp_path, vectors, 700), budget=64 << 20)
    budgets = []
    products = DeviceSearch.products

    def short(search, asked, block):
        if not budgets or budgets[-1] != index._on_device.budget:
            budgets.append(index._on_device.budget)
            if len(budgets) <= fails:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return products(search, asked, block)

    monkeypatch.setattr(DeviceSearch, "products", short)
    incidents.drain()
    k = np.full(20, 10)
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)
    notes = incidents.drain()
    halved = [note for note in notes if "half of it" in note]
    assert len(halved) == min(fails, 5)
    assert budgets == [(64 << 20) >> n for n in range(min(fails + 1, 5))]
    assert any("the CPU searches" in note for note in notes) == (fails == 99)


def test_vectors_that_are_not_finite_are_reported_by_their_file(tmp_path):
    vectors = random_vectors(0, 500, 16)
    vectors[321, 3] = np.nan
    index = opened(store(tmp_path, vectors, 100))
    with pytest.raises(InputError, match=r"00003\.npy is damaged"):
        index.search(random_vectors(1, 5, 16), np.full(5, 10))


def test_vectors_too_long_for_float16_are_searched_by_the_cpu(tmp_path):
    vectors = random_vectors(0, 500, 16)
    vectors[400] *= 1e9
    index = opened(store(tmp_path, vectors, 100), similarity="dot")
    queries, k = random_vectors(1, 5, 16), np.full(5, 10)
    monkey = index._on_device._opened(index).vectors
    monkey.scale = 1.0
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)


def test_queries_of_no_length_that_float32_can_scale_are_searched_by_the_cpu(tmp_path):
    vectors, queries = random_vectors(0, 500, 16), random_vectors(1, 5, 16)
    queries[2] *= np.float32(1e-42)
    index, k = opened(store(tmp_path, vectors, 100), similarity="dot"), np.full(5, 10)
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)


def test_indexes_of_one_directory_share_the_vectors_until_the_last_is_deleted(
    tmp_path, monkeypatch, collector_off
):
    vectors, queries, k = random_vectors(0, 500, 16), random_vectors(1, 5, 16), np.full(5, 10)
    directory = store(tmp_path, vectors, 100)
    one, two = opened(directory), opened(directory)
    read, part = [], DenseIndex.part
    monkeypatch.setattr(
        DenseIndex, "part", lambda index, *given: read.append(given) or part(index, *given)
    )
    for index in (one, two, one):
        assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)
    assert len(read) == 5  # Each shard once.
    assert len(on_device._shared) == 1
    del one, index
    assert len(on_device._shared) == 1
    del two
    assert len(on_device._shared) == 0


def test_other_vectors_in_the_same_directory_are_read_again(tmp_path):
    queries, k = random_vectors(1, 5, 16), np.full(5, 10)
    directory = store(tmp_path, random_vectors(0, 500, 16), 500)
    old = opened(directory)
    old.search(queries, k)
    vectors = random_vectors(2, 500, 16)
    (directory / "vectors" / "00000.npy").unlink()
    np.save(directory / "vectors" / "00000.npy", vectors)
    assert lists(opened(directory).search(queries, k)) == brute_force(queries, vectors, k)


@pytest.mark.parametrize(
    ("asked", "found", "used"),
    [
        ("cpu", "cpu", None),
        ("auto", "cpu", None),
        ("auto", "cuda", "cuda"),
        ("cuda:1", "cuda:1", "cuda:1"),
        ("mps", "mps", None),
    ],
)
def test_the_device_of_the_models_searches_if_it_is_of_cuda(
    tmp_path, monkeypatch, asked, found, used
):
    monkeypatch.setattr(dense_index, "device_for", {asked: found}.__getitem__)
    vectors, queries, k = random_vectors(0, 500, 16), random_vectors(1, 5, 16), np.full(5, 10)
    seen = []
    monkeypatch.setattr(
        OnDevice, "search", lambda self, *given: seen.append(self.device) or ([], given[-1])
    )
    index = DenseIndex(store(tmp_path, vectors, 100), 1, device=asked)
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)
    assert seen == [used] * (used is not None)
    # A small search never starts the device.
    monkeypatch.setattr(dense_index, "WORTHWHILE", 1 << 25)
    index.search(queries, k)
    assert len(seen) <= 1


def test_an_index_file_of_faiss_stays_on_the_cpu(tmp_path, monkeypatch):
    vectors, queries, k = random_vectors(0, 500, 16), random_vectors(1, 5, 16), np.full(5, 10)
    index = opened(store(tmp_path, vectors, 500, "IVF4,Flat"))
    monkeypatch.setattr(OnDevice, "search", lambda *given: pytest.fail("On the device."))
    assert len(index.search(queries, k).slots) == 50


@pytest.mark.parametrize(
    ("device", "build", "count", "visible", "expected"),
    [
        ("auto", "2.11.0+cu130", 4, None, ["0", "1", "2", "3"]),
        ("cuda", "2.11.0", 2, "6,3", ["6", "3"]),
        ("cuda", "2.11.0", 1, "GPU-8a, 99", ["GPU-8a"]),  # CUDA stops at the first unknown one.
        ("auto", "2.11.0", 0, "", []),
        ("cuda:1", "2.11.0", 4, None, []),
        ("cpu", "2.11.0", 4, None, []),
        ("auto", "2.11.0+cpu", 4, None, []),
    ],
)
def test_workers_share_the_gpus_that_a_process_sees(
    monkeypatch, device, build, count, visible, expected
):
    monkeypatch.setattr(devices, "version", lambda name: build)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.cards(device) == expected


def test_each_worker_sees_its_own_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,8")

    def share_of(number, count, threads):
        return partial(os.system, f'echo "$CUDA_VISIBLE_DEVICES" > {tmp_path}/{number}')

    seen = [{"CUDA_VISIBLE_DEVICES": "7"}, {"CUDA_VISIBLE_DEVICES": "8"}]
    run_workers(share_of, count=3, threads=3, memory_limit=None, environments=seen)
    assert [(tmp_path / str(n)).read_text().strip() for n in range(3)] == ["7", "8", "7"]


@pytest.mark.parametrize(("workers", "expected"), [(2, ["7", "8"]), (1, [])])
def test_a_command_gives_its_workers_the_gpus(tmp_path, monkeypatch, workers, expected):
    monkeypatch.setattr(devices, "cards", lambda device: ["7", "8"] if device == "cuda" else [])
    started = []
    monkeypatch.setattr(local_pool, "run_workers", lambda *share, **how: started.append(how))
    asked = {"index": tmp_path, "pairs": "p.parquet", "output": tmp_path / "out"}
    settings = MineSettings.parse(
        {**asked, "device": "cuda", "workers": workers, "max_memory": "900GB"}
    )
    assert in_processes(lambda settings: "done", settings) == "done"
    (how,) = started
    assert [one.get("CUDA_VISIBLE_DEVICES") for one in how["environments"]] == (expected or [None])


def test_mine_writes_the_same_bytes_with_a_device(stdlib, tmp_path, monkeypatch):
    pairs = pq.read_table(stdlib / "pairs.parquet").slice(0, 12)
    corpus = pq.read_table(stdlib / "corpus.parquet")
    own = pc.is_in(corpus["id"], pairs["positive_id"])
    others = corpus.filter(pc.invert(own)).slice(0, 100)
    pq.write_table(pa.concat_tables([corpus.filter(own), others]), tmp_path / "corpus.parquet")
    pq.write_table(pairs, tmp_path / "pairs.parquet")
    given = {"pairs": str(tmp_path / "pairs.parquet"), "progress": False}
    given |= {"index": tmp_path / "index"}
    corpus_file = str(tmp_path / "corpus.parquet")
    api.build_index(**given, corpus=corpus_file, encoder=ONNX_ENCODER, max_length=32, shard_size=50)
    kinds = ["dense", "dense-from-positive", "dense-from-queries"]
    searched = []

    class Recorded(OnDevice):
        def search(self, index, *given):
            searched.append((self.device, index.directory.parent.name))
            hits, left = OnDevice("cpu", LARGE).search(index, *given)
            assert not len(left)
            return hits, left

    def mined(name):
        api.mine(**given, output=tmp_path / name, source=kinds, top_k=6, device="auto")
        return content(tmp_path / name / "candidates")

    plain = mined("plain")
    assert not searched
    monkeypatch.setattr(dense_index, "device_for", {"auto": "cuda"}.__getitem__)
    monkeypatch.setattr(dense_index, "OnDevice", Recorded)
    assert mined("on-a-device") == plain
    assert set(searched) == {("cuda", "index"), ("cuda", "on-a-device")}
    assert len(searched) >= len(kinds)
