"""The order in which rows are proposed for batches: one class for each `--by`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hnmine.array_files import load_array
from hnmine.extras.batches.cluster import cut
from hnmine.extras.batches.pack import Admission, Packed, evenly, pack
from hnmine.index.dense_index import DenseIndex
from hnmine.index.topk import top_k
from hnmine.ragged import Ints
from hnmine.runner.plan import blocks
from hnmine.runner.run_directory import Tick

SEARCH_BLOCK = 512


class Arrangement(Protocol):
    """Packs the rows of an epoch."""

    def pack(
        self, epoch: int, query: Ints, size: int, admission: Admission, random: np.random.Generator
    ) -> Packed:
        """Fill the batches of an epoch.

        Args:
            epoch: from 0.
            query: of each row, ascending.
            size: rows in a full batch.
            admission: decides which rows join a batch.
            random: of this epoch.
        """
        ...


@dataclass(frozen=True)
class Balanced:
    """Clusters of equal size, drawn at random, one after the other (NGAME, Dahiya et al. 2023).

    With clusters of one query, a random order.

    Attributes:
        order: the queries in the order of `balanced_order`, shape (queries,).
        sizes: queries in a cluster, at most, of each epoch; the last stays.
    """

    order: Ints
    sizes: Sequence[int]

    def pack(
        self, epoch: int, query: Ints, size: int, admission: Admission, random: np.random.Generator
    ) -> Packed:
        """Fill the batches of an epoch; see `Arrangement`."""
        starts = cut(len(self.order), self.sizes[min(epoch, len(self.sizes) - 1)])
        cluster = np.empty(len(self.order), dtype=np.int64)
        cluster[self.order] = np.searchsorted(starts, np.arange(len(self.order)), "right")
        time = evenly(query, cluster, random)
        rows = np.lexsort((random.random(len(query)), time))
        return pack(iter([rows]), query, size, admission)


@dataclass(frozen=True)
class Clustered:
    """Every batch from one cluster (TAS-Balanced, Hofstaetter et al. 2021).

    Rows that a cluster has left after its last full batch share batches with those of others.
    """

    cluster: Ints

    def pack(
        self, epoch: int, query: Ints, size: int, admission: Admission, random: np.random.Generator
    ) -> Packed:
        """Fill the batches of an epoch; see `Arrangement`."""
        time = evenly(query, np.arange(len(self.cluster)), random)
        turn = random.permutation(int(self.cluster.max()) + 1)[self.cluster[query]]
        rows = np.lexsort((time, turn))
        bounds = np.flatnonzero(np.diff(turn[rows])) + 1
        groups: Iterator[Ints] = iter(np.split(rows, bounds))
        return pack(groups, query, size, admission)


@dataclass(frozen=True)
class Greedy:
    """A random query, its nearest queries, then another (Sample4Geo, Deuser et al. 2023)."""

    neighbours: Neighbours

    def pack(
        self, epoch: int, query: Ints, size: int, admission: Admission, random: np.random.Generator
    ) -> Packed:
        """Fill the batches of an epoch; see `Arrangement`."""
        time = evenly(query, np.arange(int(query[-1]) + 1), random)
        return pack(iter([np.argsort(time)]), query, size, admission, self.neighbours)


def nearest(vectors: DenseIndex, queries: range, k: int, tick: Tick) -> Ints:
    """Return the k nearest other queries of each query in a range, shape (range, k).

    Args:
        vectors: of all queries.
        queries: the range.
        k: less than the number of queries.
        tick: called with the queries done.
    """
    parts = [np.empty((0, k), dtype=np.int64)]
    for start in range(queries.start, queries.stop, SEARCH_BLOCK):
        block = np.arange(start, min(start + SEARCH_BLOCK, queries.stop))
        found = vectors.search(vectors.read(block), np.full(len(block), k + 1))
        query, other = found.query_of_hit, found.slots != block[found.query_of_hit]
        near = top_k(query[other], found.slots[other], found.scores[other], np.full(len(block), k))
        parts.append(near.slots.reshape(len(block), k))
        tick(len(block))
    return np.concatenate(parts)


class Neighbours:
    """The nearest queries of each, memory-mapped."""

    def __init__(self, directory: Path, queries: int, block: int) -> None:
        """Open shards of `block` queries each; the last may be shorter."""
        self._shards = [
            np.asarray(  # Faster to index than a memmap.
                load_array(
                    directory / f"{n:05d}.npy", np.int64, (len(rows), None), low=0, below=queries
                )
            )
            for n, rows in enumerate(blocks(queries, block))
        ]

    def of(self, query: int) -> Ints:
        """Return the queries nearest to one, the nearest first."""
        shard, row = divmod(query, len(self._shards[0]))
        found: Ints = self._shards[shard][row]
        return found
