"""Search on a device gives the bytes of the CPU; here PyTorch's CPU is the device."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hnmine.index import dense_index, device_vectors, on_device
from hnmine.index.dense_index import DenseIndex
from hnmine.index.on_device import OnDevice
from tests.test_coarse import crowded_vectors
from tests.test_dense import (
    awkward_vectors,
    exact_scores,
    lists,
    random_vectors,
    store,
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
