"""The dense index: vectors in shards on disk, searched by FAISS, scored again exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.data.arrays import Shape, check_values, load_array
from hnmine.encode.base import Encoder, Kind
from hnmine.encode.spec import computes_in_bf16
from hnmine.errors import UsageError, damage_explained
from hnmine.index.approximate import Approximate
from hnmine.index.coarse import best_by_bfloat16, error_of_products
from hnmine.index.dots import dots
from hnmine.index.topk import Ranking, top_k
from hnmine.tasks.arrays import give_back, save_array
from hnmine.tasks.partial import on_threads

EXACT = "Flat"
FAISS_FILE = "index.faiss"
ENCODE_BLOCK = 1024
SCORE_BLOCK = 1 << 14
OPEN_SHARDS = 64
WIDEST = 4096
COARSE_FROM = 64
"""Queries from which products in bfloat16 are faster: each vector has to be rounded first."""
BLAS_FROM = 8
"""Queries from which FAISS multiplies matrices; its own threshold leaves blocks of some hundreds
without, six times as slow (measured with FAISS 1.15)."""
REFINED = 8
"""Documents that compressed codes propose for each that is wanted; all are scored exactly, as in
FAISS's refine indexes, but from the vectors on disk."""
FLOAT32_STEP = float(np.finfo(np.float32).eps)
"""The largest gap between neighbouring float32 numbers up to 2."""

Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]
Hits = tuple[Ints, Ints, NDArray[np.float64]]
"""Query, slot and score of each."""


def write_vectors(
    texts: Iterator[str],
    encoder: Encoder,
    path: Path,
    tick: Callable[[int], None],
    kind: Kind = "document",
) -> dict[str, int]:
    """Encode one shard of texts and write its vectors, float32, shape (texts, dimension)."""
    parts = []
    while block := list(islice(texts, ENCODE_BLOCK)):
        parts.append(encoder.encode(block, kind))
        tick(len(block))
    with path.open("wb") as file:
        save_array(file, np.concatenate(parts))
    return {"vectors": sum(map(len, parts))}


def _open_shard(paths: list[Path], shape: Shape, shard: int) -> Vectors:
    """Open a shard; each but the last has as many rows as the first."""
    rows = shape[0] if shard < len(paths) - 1 else None
    vectors: Vectors = load_array(paths[shard], np.float32, (rows, shape[1]))
    return vectors


class DenseIndex:
    """Vectors by slot; every score that leaves it is the float64 dot product, rounded to float32.

    FAISS only proposes: its own scores depend on the block of queries and on the index's
    compression, and its order among equal scores is not defined.
    """

    def __init__(
        self,
        directory: Path,
        threads: int,
        search_parameters: str | None = None,
        count: int | None = None,
    ) -> None:
        """Open a directory of vectors.

        Args:
            directory: with a folder of shards, and perhaps a FAISS index.
            threads: CPU threads.
            search_parameters: of an approximate index.
            count: how many vectors there must be.

        Raises:
            InputError: they are damaged, or are not so many.
            UsageError: the index takes no search parameters.
        """
        import faiss

        faiss.omp_set_num_threads(threads)
        self.directory, self.search_parameters = directory, search_parameters
        self.paths = sorted((directory / "vectors").glob("*.npy"))
        self._pool = ThreadPoolExecutor(threads)
        with damage_explained(directory):
            numbered = [f"{n:05d}" for n in range(max(1, len(self.paths)))]
            if [path.stem for path in self.paths] != numbered:
                raise ValueError("A shard of its vectors is missing.")
        first = load_array(self.paths[0], np.float32, (None, None))
        self.shard_rows, self.dimension = first.shape
        # Not a method, which would hold the index, and with it all files, until a collection.
        self._shard = lru_cache(maxsize=OPEN_SHARDS)(partial(_open_shard, self.paths, first.shape))
        last = len(self.paths) - 1
        self.count = self.shard_rows * last + len(self._shard(last))
        with damage_explained(self.paths[last]):
            if not 0 < len(self._shard(last)) <= self.shard_rows or not self.dimension:
                raise ValueError("It has too few or too many rows.")
            if count not in (None, self.count):
                raise ValueError(f"With it there are {self.count:,} vectors, not {count:,}.")
        self._whole_shards: set[int] = set()
        self.exact = not (directory / FAISS_FILE).exists()
        if self.exact and search_parameters:
            raise UsageError(
                f"--faiss-search {search_parameters} does not apply to this index.",
                why="It is Flat, which is exact and has no search parameters.",
                fix="Leave --faiss-search out, or build the index with another --faiss.",
            )

    def search(self, queries: Vectors, k: NDArray[np.int64]) -> Ranking:
        """Find the `k[q]` nearest documents of each query by cosine.

        Exact for Flat: where the vectors that FAISS left out could still belong to the top k, by
        the bound on float32 rounding, it is asked for more.

        Args:
            queries: unit vectors, shape (queries, dimension).
            k: how many for each query, shape (queries,).
        """
        wanted = np.minimum(k, self.count)
        self._check(queries, wanted[:0])
        todo = np.flatnonzero(wanted > 0)
        parts = [(todo[:0], todo[:0], np.empty(0))]
        if self.exact and len(todo) >= COARSE_FROM and computes_in_bf16("cpu"):
            todo = self._search_coarsely(queries, wanted, todo, parts)
        deep = wanted if self.exact or not self._approximate.compressed else wanted * REFINED
        depth = np.minimum(2 ** np.ceil(np.log2(deep + 16)).astype(np.int64), self.count)
        while len(todo):
            again = []
            for m in np.unique(depth[todo]):
                chosen = todo[depth[todo] == m]
                slots, bound = self._propose(queries[chosen], int(m))
                if not self.exact or m >= self.count:
                    bound[:] = -np.inf
                short = self._keep(queries, wanted, chosen, slots, bound, parts)
                deepest = short[depth[short] >= WIDEST]
                parts += [self._best_of_all(queries, row, int(wanted[row])) for row in deepest]
                again.append(short[depth[short] < WIDEST])
            todo = np.concatenate(again)
            depth[todo] = np.minimum(depth[todo] * 4, self.count)
        query, hits, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
        return top_k(query, hits, scores, wanted)

    def score(
        self, queries: Vectors, offsets: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score given documents: query `i` against `slots[offsets[i]:offsets[i + 1]]`."""
        query = np.repeat(np.arange(len(queries)), np.diff(offsets))
        return self._dots(np.ascontiguousarray(queries), query, slots).astype(np.float64)

    def similarity(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> Vectors:
        """Return the cosines of pairs of documents, given by slot, shape (pairs,)."""
        cosines = np.empty(len(one), dtype=np.float32)
        for start in range(0, len(one), SCORE_BLOCK):
            block = slice(start, start + SCORE_BLOCK)
            distinct, place = np.unique(one[block], return_inverse=True)
            cosines[block] = self._dots(self.read(distinct), place, other[block])
        return cosines

    def _dots(
        self, queries: Vectors, query: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> Vectors:
        """Multiply queries with documents, shard by shard, shape (pairs,)."""
        self._check(queries, slots)
        scores = np.empty(len(slots), dtype=np.float32)
        shards = slots // self.shard_rows
        order = np.argsort(shards, kind="stable")
        ends = np.flatnonzero(np.diff(shards[order])) + 1
        parts = [
            part[start : start + SCORE_BLOCK]
            for part in np.split(order, ends)
            for start in range(0, len(part), SCORE_BLOCK)
        ]

        def work(at: NDArray[np.int64]) -> None:
            shard = int(shards[at[0]])
            vectors = self._shard(shard)
            rows = slots[at] - shard * self.shard_rows
            dots(queries, query[at], np.asarray(vectors), rows, at, scores)
            give_back(vectors)

        on_threads(self._pool, work, parts)
        with damage_explained(self.directory):
            if not np.isfinite(scores).all():
                raise ValueError("A product with its vectors is no finite number.")
        return scores

    def _check(self, queries: Vectors, slots: Ints) -> None:
        """Refuse what compiled code would read beyond a vector, or beyond all of them, for."""
        with damage_explained(self.directory):
            if queries.shape[1:] != (self.dimension,):
                raise ValueError(
                    f"Its vectors have {self.dimension:,} dimensions, the queries' "
                    f"{queries.shape[-1]:,}."
                )
            check_values(slots, low=0, below=self.count)

    def _whole(self, shard: int) -> Vectors:
        """Open a shard that is searched; the first time, check its numbers."""
        vectors = self._shard(shard)
        if shard not in self._whole_shards:
            with damage_explained(self.paths[shard]):
                check_values(vectors, finite=True)
            self._whole_shards.add(shard)
        return vectors

    def _exact(
        self, queries: Vectors, chosen: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        hits = slots.ravel()
        counts = np.zeros(len(queries) + 1, dtype=np.int64)
        counts[chosen + 1] = slots.shape[1]
        query = np.repeat(chosen, slots.shape[1])
        return query, hits, self.score(queries, np.cumsum(counts), hits)

    def _search_coarsely(
        self, queries: Vectors, wanted: Ints, todo: Ints, parts: list[Hits]
    ) -> Ints:
        """Search by products in bfloat16; return the queries for which they are too coarse."""
        again = []
        depth = 2 ** np.ceil(np.log2(2 * wanted + 32)).astype(np.int64)
        for m in np.unique(depth[todo]):
            chosen = todo[depth[todo] == m]
            if m >= min(WIDEST, self.count):
                again.append(chosen)
                continue
            shards = ((n * self.shard_rows, self._whole(n)) for n in range(len(self.paths)))
            slots, bound = best_by_bfloat16(queries[chosen], shards, int(m), self._pool)
            error = error_of_products(self.dimension)
            again.append(self._keep(queries, wanted, chosen, slots, bound + error, parts))
        return np.concatenate(again)

    def _keep(
        self,
        queries: Vectors,
        wanted: Ints,
        chosen: Ints,
        slots: Ints,
        bound: NDArray[np.floating],
        parts: list[Hits],
    ) -> Ints:
        """Score what was proposed, and keep the best of the queries that have surely got them.

        Args:
            queries: unit vectors of all queries.
            wanted: how many documents each query wants.
            chosen: the queries that something was proposed for.
            slots: what was proposed, shape (chosen, m).
            bound: what no score of another document exceeds, shape (chosen,).
            parts: gets the hits.

        Returns:
            The other queries among the chosen.
        """
        query, hits, scores = self._exact(queries, chosen, slots)
        only_chosen = np.where(np.isin(np.arange(len(wanted)), chosen), wanted, 0)
        found = top_k(query, hits, scores, only_chosen)
        short: Ints = chosen[found.scores[found.offsets[chosen + 1] - 1] <= bound]
        whole = ~np.isin(found.query_of_hit, short)
        parts.append((found.query_of_hit[whole], found.slots[whole], found.scores[whole]))
        return short

    def _best_of_all(
        self, queries: Vectors, row: int, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Score every document for a query whose near ties go deeper than FAISS should be asked.

        One shard at a time; keeps what is not clearly below the k-th best so far.
        """
        query = queries[row].astype(np.float64)
        slots, scores = np.empty(0, dtype=np.int64), np.empty(0)
        for shard in range(len(self.paths)):
            vectors = self._whole(shard)
            first = shard * self.shard_rows
            slots = np.concatenate([slots, np.arange(first, first + len(vectors))])
            scores = np.concatenate([scores, vectors.astype(np.float64) @ query])
            if len(scores) > k:
                keep = scores >= np.partition(scores, -k)[-k] - FLOAT32_STEP
                slots, scores = slots[keep], scores[keep]
            give_back(vectors)
        exact = self.score(queries[row : row + 1], np.array([0, len(slots)]), slots)
        return np.full(len(slots), row), slots, exact

    def read(self, slots: NDArray[np.int64]) -> Vectors:
        """Read the unit vectors of documents, given by slot, shape (slots, dimension)."""
        with damage_explained(self.directory):
            check_values(slots, low=0, below=self.count)
        shards = slots // self.shard_rows
        gathered = np.empty((len(slots), self.dimension), dtype=np.float32)
        for shard in np.unique(shards):
            at = np.flatnonzero(shards == shard)
            vectors = self._shard(int(shard))
            gathered[at] = vectors[slots[at] - shard * self.shard_rows]
            give_back(vectors)
        with damage_explained(self.directory):
            if not np.isfinite(np.vdot(gathered, gathered)):
                raise ValueError("Its vectors hold numbers that are not finite.")
        return gathered

    def _propose(self, queries: Vectors, m: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ask FAISS for m documents a query; return them and what no other's score exceeds."""
        scores, slots = self._scan(queries, m) if self.exact else self._search_in_file(queries, m)
        return slots, scores[:, -1] + self.dimension * float(np.finfo(np.float32).eps)

    def _scan(self, queries: Vectors, m: int) -> tuple[Vectors, NDArray[np.int64]]:
        import faiss

        faiss.cvar.distance_compute_blas_threshold = BLAS_FROM
        best = faiss.ResultHeap(len(queries), m, keep_max=True)
        for shard in range(len(self.paths)):
            vectors = self._whole(shard)
            scores, slots = faiss.knn(
                queries, vectors, min(m, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT
            )
            best.add_result(scores, slots + shard * self.shard_rows)
            give_back(vectors)
        best.finalize()
        return best.D, best.I

    @cached_property
    def _approximate(self) -> Approximate:
        file = self.directory / FAISS_FILE
        return Approximate(file, self.dimension, self.count, self.search_parameters)

    def _search_in_file(self, queries: Vectors, m: int) -> tuple[Vectors, Ints]:
        scores, slots = self._approximate.search(queries, m)
        short = np.flatnonzero((slots < 0).any(axis=1))
        if len(short):
            scores[short], slots[short] = self._scan(queries[short], m)
        return scores, slots
