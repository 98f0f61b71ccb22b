"""Find the best vectors by products in bfloat16, with a bound on the rounding errors.

Some CPUs multiply matrices in bfloat16 several times as fast as in float32. The products only
propose vectors: the caller scores them exactly, and tells by the bound whether others are better.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import give_back
from hnmine.compiled import compiled
from hnmine.ragged import Floats, Ints
from hnmine.runner.checkpoints import on_threads

BLOCK = 8192
"""Vectors multiplied at once: their products with hundreds of queries fit in the cache."""
AT_ONCE = 64
"""Blocks submitted together, which limits the open shards."""
CHUNK = 64
"""Scores tested together whether any is high enough."""
HALF_STEP = 2.0**-8
"""The largest relative error of rounding to bfloat16."""

Vectors = NDArray[np.float32]
Bits = NDArray[np.int16]
"""Numbers in bfloat16; from 0 up, they sort like their bits as whole numbers."""


@compiled()
def _shrink(scores: Bits, slots: Ints, count: int, m: int) -> int:
    """Move the m largest of the first `count` scores to the front; return the least of them."""
    # Bisection: faster than a partition, and compiled sooner.
    least, more = np.int16(0), 1 << 15
    while more - least > 1:
        middle, n = np.int16((least + more) >> 1), 0
        for i in range(count):
            n += scores[i] >= middle
        if n >= m:
            least = middle
        else:
            more = int(middle)
    equal, n = m, 0
    for i in range(count):
        equal -= scores[i] > least
    for i in range(count):
        if scores[i] > least or (scores[i] == least and equal > 0):
            equal -= scores[i] == least
            scores[n], slots[n] = scores[i], slots[i]
            n += 1
    return int(least)


@compiled()
def _keep_best(
    products: Bits, first: int, m: int, scores: Bits, slots: Ints, counts: Ints, floors: Bits
) -> None:
    """Keep products, shape (vectors, queries), that exceed the floor of their query."""
    for row in range(len(products)):
        for start in range(0, products.shape[1], CHUNK):
            # Slices, as subscripts from 0 need no test for negative ones.
            part, needed = products[row, start : start + CHUNK], floors[start : start + CHUNK]
            any_above = False
            for i in range(len(part)):
                any_above |= part[i] > needed[i]
            if not any_above:
                continue
            for i in range(len(part)):
                if part[i] > needed[i]:
                    query = start + i
                    n = counts[query]
                    scores[query, n], slots[query, n] = part[i], first + row
                    counts[query] = n + 1
                    if n + 1 == scores.shape[1]:
                        needed[i] = _shrink(scores[query], slots[query], n + 1, m)
                        counts[query] = m


class _Best:
    """The best products so far of every query, among the vectors of one thread."""

    def __init__(self, queries: int, m: int) -> None:
        self.m = m
        self.scores = np.empty((queries, 3 * m), np.int16)
        self.slots = np.empty((queries, 3 * m), np.int64)
        self.counts = np.zeros(queries, np.int64)
        self.floors = np.full(queries, -1, np.int16)

    def take(self, products: Bits, first: int) -> None:
        """Keep the best of a block, shape (vectors, queries), whose first slot is `first`."""
        kept = self.scores, self.slots, self.counts, self.floors
        _keep_best(products, first, self.m, *kept)


def best_by_bfloat16(
    queries: Vectors, shards: Iterable[tuple[int, Vectors]], m: int, pool: ThreadPoolExecutor
) -> tuple[Ints, Floats]:
    """Find the m vectors of each query whose products in bfloat16 are the largest.

    Args:
        queries: unit vectors, shape (queries, dimension).
        shards: the vectors, each part with the slot of its first one.
        m: how many for each query.
        pool: works on the blocks.

    Returns:
        Slots, shape (queries, m), in no order, and an upper bound on the unrounded product of any
        other vector, shape (queries,). Where fewer than m products are positive, the bound is
        infinite and the slots are meaningless.
    """
    import torch

    # Each thread works on blocks of its own.
    torch.set_num_threads(1)
    # The vectors are mapped read-only.
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")
    # A matrix product is fastest with the few queries on the right.
    turned = torch.from_numpy(queries).bfloat16().T.contiguous()
    local = threading.local()
    of_threads: list[_Best] = []

    def work(block: tuple[int, Vectors]) -> None:
        if not hasattr(local, "best"):
            local.best = _Best(len(queries), m)
            of_threads.append(local.best)
        products = torch.from_numpy(block[1]).bfloat16() @ turned
        give_back(block[1])
        local.best.take(products.view(torch.int16).numpy(), block[0])

    blocks = (
        (first + start, vectors[start : start + BLOCK])
        for first, vectors in shards
        for start in range(0, len(vectors), BLOCK)
    )
    while some := list(islice(blocks, AT_ONCE)):
        on_threads(pool, work, some)
    return _joined(of_threads, len(queries), m)


def error_of_products(dimension: int) -> float:
    """Return the largest error of a product of unit vectors before its last rounding.

    By Cauchy and Schwarz: rounding changes the length of each vector by at most `HALF_STEP`. Sums
    are in float32.
    """
    return 2 * HALF_STEP + HALF_STEP**2 + dimension * float(np.finfo(np.float32).eps)


def _joined(of_threads: Sequence[_Best], queries: int, m: int) -> tuple[Ints, Floats]:
    slots, bounds = np.zeros((queries, m), np.int64), np.full(queries, np.inf)
    for query in range(queries):
        parts = [(best, int(best.counts[query])) for best in of_threads]
        scores = np.concatenate([best.scores[query, :count] for best, count in parts])
        found = np.concatenate([best.slots[query, :count] for best, count in parts])
        if len(scores) >= m:
            least = np.array([_shrink(scores, found, len(scores), m)], np.uint32) << 16
            slots[query] = found[:m]
            bounds[query] = least.view(np.float32)[0] * (1 + HALF_STEP)
    return slots, bounds
