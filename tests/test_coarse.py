"""Search by products in bfloat16 gives what all exact products give, on any CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.index import bf16_search, dense_index
from hnmine.index.bf16_search import best_by_bfloat16, error_of_products
from hnmine.index.dense_index import COARSE_FROM, DenseIndex
from tests.test_dense import awkward_vectors, brute_force, lists, random_vectors, store, unit


def crowded_vectors(seed, rows, dimension):
    """Vectors of which each has some near: a query's best stand out, as those of texts do."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, rows // 40), dimension))
    return unit(centres[random.integers(len(centres), size=rows)] + random.normal(size=(rows, 1)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(30, 400),
    dimension=st.sampled_from([1, 2, 3, 17, 64]),
    m=st.integers(1, 30),
    threads=st.integers(1, 2),
    make=st.sampled_from([random_vectors, awkward_vectors, crowded_vectors]),
)
def test_no_vector_that_is_left_out_exceeds_the_bound(seed, rows, dimension, m, threads, make):
    vectors, queries = make(seed, rows, dimension), random_vectors(seed + 1, 70, dimension)
    cut = rows // 3
    parts = [(0, vectors[:cut]), (cut, vectors[cut:])]
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(threads) as pool:
        patch.setattr(bf16_search, "BLOCK", 16)
        slots, bounds = best_by_bfloat16(queries, parts, m, pool)
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    error = error_of_products(dimension)
    for scores, found, bound in zip(exact, slots, bounds, strict=True):
        if np.isfinite(bound):
            assert len(set(found.tolist())) == m
            left_out = np.delete(scores, found)
            assert left_out.max(initial=-1) <= bound + error
            assert bound <= np.sort(scores)[-m] + 2 * error
        else:
            # Rounding moves a score by less than that.
            assert (scores > 2 * error).sum() < m


@pytest.mark.parametrize("make", [random_vectors, awkward_vectors, crowded_vectors])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_search_by_bfloat16_is_exact(tmp_path, monkeypatch, make, threads):
    monkeypatch.setattr(dense_index, "computes_in_bf16", lambda device: True)
    vectors = make(0, 3000, 32)
    queries = np.concatenate([random_vectors(1, COARSE_FROM, 32), vectors[:10]])
    k = np.random.default_rng(2).choice([0, 1, 5, 20, 100, 5000], size=len(queries))
    index = DenseIndex(store(tmp_path, vectors, 700), threads)
    kept = []
    keep = index._keep
    monkeypatch.setattr(index, "_keep", lambda *given: kept.append(keep(*given)) or kept[-1])
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)
    if make is not awkward_vectors:
        # Some queries are answered by the first pass, or nothing was tested.
        assert len(kept[0]) < len(queries) // 2


def test_a_crowd_that_bfloat16_cannot_order_is_searched_again(tmp_path, monkeypatch):
    monkeypatch.setattr(dense_index, "computes_in_bf16", lambda device: True)
    random = np.random.default_rng(3)
    centre = random.normal(size=48)
    vectors = unit(centre + 1e-4 * random.normal(size=(2000, 48)))
    queries = unit(centre + 0.1 * random.normal(size=(COARSE_FROM, 48)))
    k = np.full(len(queries), 10)
    index = DenseIndex(store(tmp_path, vectors, 900), 1)
    assert lists(index.search(queries, k)) == brute_force(queries, vectors, k)
