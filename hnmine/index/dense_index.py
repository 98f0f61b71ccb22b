"""The dense index: FAISS searches the vectors, and hnmine scores the hits exactly."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import give_back
from hnmine.encode.declared import Similarity
from hnmine.encode.devices import computes_in_bf16, device_for
from hnmine.errors import UsageError
from hnmine.index.approximate import Approximate
from hnmine.index.bf16_search import best_by_bfloat16, error_of_products
from hnmine.index.on_device import OnDevice
from hnmine.index.stored import StoredVectors, Vectors
from hnmine.index.topk import Ranking, top_k
from hnmine.ragged import Floats, Ints, offsets_of

EXACT = "Flat"
FAISS_FILE = "index.faiss"
WIDEST = 4096
WORTHWHILE = 1 << 25
"""Products from which a GPU searches: for fewer, starting it takes longer."""
COARSE_FROM = 64
"""Queries from which products in bfloat16 are faster: rounding the vectors takes time."""
BLAS_FROM = 8
"""Queries from which FAISS multiplies matrices; with its own threshold, blocks of some hundreds are
six times as slow (measured with FAISS 1.15)."""
REFINED = 8
"""Documents that compressed codes propose for each wanted one; all are scored exactly, as in the
refine indexes of FAISS, but from the vectors on disk."""
FLOAT32_STEP = float(np.finfo(np.float32).eps)
"""The largest gap between neighbouring float32 numbers up to 2."""
UNDERFLOW = float(np.finfo(np.float32).tiny)
"""The largest loss of a product or a sum that is too small for a float32."""

Hits = tuple[Ints, Ints, Floats]
"""Query, slot and score of each hit."""


class DenseIndex(StoredVectors):
    """Vectors to search by slot; a search finds no zero vectors.

    FAISS only proposes: its scores depend on the block of queries and on compression, and its order
    of equal scores is undefined.
    """

    def __init__(
        self,
        directory: Path,
        threads: int,
        search_parameters: str | None = None,
        count: int | None = None,
        similarity: Similarity = "cosine",
        device: str = "cpu",
    ) -> None:
        """Open a directory of vectors; a device of CUDA searches them where that is faster.

        Raises:
            InputError: they are damaged, or not `count`.
            UsageError: the index takes no search parameters.
        """
        import faiss

        faiss.omp_set_num_threads(threads)
        super().__init__(directory, threads, count, similarity)
        self.search_parameters, self.device = search_parameters, device
        self.exact = not (directory / FAISS_FILE).exists()
        if self.exact and search_parameters:
            raise UsageError(
                f"--faiss-search {search_parameters} does not apply to this index.",
                why="It is Flat, which is exact and has no search parameters.",
                fix="Leave --faiss-search out, or build the index with another --faiss.",
            )

    def search(self, queries: Vectors, k: Ints) -> Ranking:
        """Find the `k[q]` documents with the highest scores of each query.

        Exact for Flat: FAISS proposes more where vectors that it left out could still belong to the
        top k, by the bound on float32 rounding.

        Args:
            queries: their vectors, shape (queries, dimension).
            k: how many for each query, shape (queries,).
        """
        self._check(queries, k[:0])
        wanted = np.where(queries.any(axis=1), np.minimum(k, self.count), 0)
        todo = np.flatnonzero(wanted > 0)
        parts = [(todo[:0], todo[:0], np.empty(0))]
        if self.exact and len(todo) * self.count >= WORTHWHILE and self._on_device:
            hits, todo = self._on_device.search(self, queries, wanted, todo)
            parts += hits
        if self.exact and len(todo) >= COARSE_FROM and computes_in_bf16("cpu"):
            todo = self._search_coarsely(queries, wanted, todo, parts)
        deep = wanted if self.exact or not self._approximate.compressed else wanted * REFINED
        depth = np.minimum(2 ** np.ceil(np.log2(deep + 16)).astype(np.int64), self.count)
        while len(todo):
            again = []
            for m in np.unique(depth[todo]):
                chosen = todo[depth[todo] == m]
                slots, bound = self._propose(queries[chosen], int(m))
                if not self.exact:
                    bound[:] = -np.inf
                short = self._keep(queries, wanted, chosen, slots, bound, parts)
                deepest = short[depth[short] >= WIDEST]
                parts += [self._best_of_all(queries, row, int(wanted[row])) for row in deepest]
                again.append(short[depth[short] < WIDEST])
            # Sorted: queries of several depths may now have the same depth.
            todo = np.sort(np.concatenate(again))
            depth[todo] = np.minimum(depth[todo] * 4, self.count)
        return _joined(parts, len(queries))

    @cached_property
    def _on_device(self) -> OnDevice | None:
        device = device_for(self.device)
        return OnDevice(device) if device.startswith("cuda") else None

    def _exact(self, queries: Vectors, chosen: Ints, slots: Ints) -> tuple[Ints, Ints, Floats]:
        hits = slots.ravel()
        counts = np.zeros(len(queries) + 1, dtype=np.int64)
        counts[chosen + 1] = slots.shape[1]
        query = np.repeat(chosen, slots.shape[1])
        scores = self.score(queries, np.cumsum(counts), hits)
        return query, hits, np.where(np.isnan(scores), -np.inf, scores)

    def _search_coarsely(
        self, queries: Vectors, wanted: Ints, todo: Ints, parts: list[Hits]
    ) -> Ints:
        """Search by products in bfloat16; return the queries that need a finer search."""
        again = []
        depth = 2 ** np.ceil(np.log2(2 * wanted + 32)).astype(np.int64)
        for m in np.unique(depth[todo]):
            chosen = todo[depth[todo] == m]
            if m >= min(WIDEST, self.count):
                again.append(chosen)
                continue
            shards = ((n * self.shard_rows, self._whole(n)) for n in range(len(self.paths)))
            slots, bound = best_by_bfloat16(queries[chosen], shards, int(m), self.pool)
            error = error_of_products(self.dimension) * self._reach(queries[chosen])
            again.append(self._keep(queries, wanted, chosen, slots, bound + error, parts))
        return np.sort(np.concatenate(again))

    def _keep(
        self,
        queries: Vectors,
        wanted: Ints,
        chosen: Ints,
        slots: Ints,
        bound: NDArray[np.floating],
        parts: list[Hits],
    ) -> Ints:
        """Score proposed slots, shape (chosen, m), and add the hits of certain queries to `parts`.

        `bound` is the upper bound on the scores of all other documents, shape (chosen,).

        Returns:
            The chosen queries whose best are not certain yet.
        """
        query, hits, scores = self._exact(queries, chosen, slots)
        only_chosen = np.where(np.isin(np.arange(len(wanted)), chosen), wanted, 0)
        found = top_k(query, hits, scores, only_chosen)
        least = found.scores[found.offsets[chosen + 1] - 1]
        # Where all documents were proposed, the best are certain.
        short: Ints = chosen[(least <= bound) & (slots.shape[1] < self.count)]
        whole = ~np.isin(found.query_of_hit, short)
        parts.append((found.query_of_hit[whole], found.slots[whole], found.scores[whole]))
        return short

    def _best_of_all(self, queries: Vectors, row: int, k: int) -> tuple[Ints, Ints, Floats]:
        """Score every document for a query with more near ties than FAISS should propose.

        It keeps, shard by shard, the scores that are not clearly below the k-th best so far.
        """
        query = queries[row].astype(np.float64)
        gap = FLOAT32_STEP * self._reach(queries[row : row + 1])[0]
        slots, scores = np.empty(0, dtype=np.int64), np.empty(0)
        for shard in range(len(self.paths)):
            vectors = self._whole(shard)
            first = shard * self.shard_rows
            slots = np.concatenate([slots, np.arange(first, first + len(vectors))])
            products = vectors.astype(np.float64) @ query
            products[~vectors.any(axis=1)] = -np.inf
            scores = np.concatenate([scores, products])
            if len(scores) > k:
                keep = scores >= np.partition(scores, -k)[-k] - gap
                slots, scores = slots[keep], scores[keep]
            give_back(vectors)
        exact = self.score(queries[row : row + 1], np.array([0, len(slots)]), slots)
        exact = np.where(np.isnan(exact), -np.inf, exact)
        best = top_k(np.zeros_like(slots), slots, exact, np.array([k]))
        return np.full(len(best.slots), row), best.slots, best.scores

    def _propose(self, queries: Vectors, m: int) -> tuple[Ints, Floats]:
        """Return m documents a query from FAISS, and an upper bound on the scores of the others."""
        scores, slots = self._scan(queries, m) if self.exact else self._search_in_file(queries, m)
        error = self.dimension * FLOAT32_STEP * self._reach(queries)
        if self.compared_by == "dot":
            error += 2 * self.dimension * UNDERFLOW
        return slots, scores[:, -1] + error

    def _scan(self, queries: Vectors, m: int) -> tuple[Vectors, Ints]:
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


def _joined(parts: list[Hits], queries: int) -> Ranking:
    """Join hits, of which those of a query are in one part, the best first."""
    query, slots, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    found = ~np.isneginf(scores)
    query = query[found]
    order = np.argsort(query, kind="stable")
    offsets = offsets_of(np.bincount(query, minlength=queries))
    return Ranking(offsets, slots[found][order], scores[found][order])
