"""Search stored vectors on a GPU: the lists and scores are those of the CPU, to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np

from hnmine.array_files import give_back
from hnmine.errors import is_out_of_memory
from hnmine.index.device_search import DeviceSearch, Proposed, Unfit
from hnmine.index.device_vectors import LEAST, DeviceVectors, free_memory
from hnmine.index.stored import StoredVectors, Vectors, norms_of
from hnmine.index.topk import top_k
from hnmine.ragged import Floats, Ints, offsets_of
from hnmine.runner import incidents
from hnmine.runner.checkpoints import on_threads

COPIED = 1 << 13
"""Vectors that a thread copies at once."""
SAMPLE = 4096
"""Vectors from whose lengths the scale is chosen."""
Hits = tuple[Ints, Ints, Floats]
"""Query, slot and score of each hit, in the order of the lists."""

_one_at_a_time = Lock()
_shared: WeakValueDictionary[tuple[object, ...], DeviceSearch] = WeakValueDictionary()
"""The vectors of an index are on a device once, whichever sources search them."""


class OnDevice:
    """A device that searches the vectors of one index, which stay there until this is deleted."""

    def __init__(self, device: str, budget: int | None = None) -> None:
        """Take a device of PyTorch and the bytes to use of it, by default most of the free ones."""
        self.device, self.budget = device, budget
        self._search: DeviceSearch | None = None

    def search(
        self, index: StoredVectors, queries: Vectors, wanted: Ints, todo: Ints
    ) -> tuple[list[Hits], Ints]:
        """Find the best documents of queries.

        Args:
            index: the same in each call.
            queries: of all, shape (queries, dimension).
            wanted: how many of each.
            todo: the queries to search for; each wants some and is not zeros.

        Returns:
            Their hits, and the queries that are left for the CPU.
        """
        with _one_at_a_time, _current(self.device):
            while search := self._opened(index):
                try:
                    return _Searching(index, search).by_depth(queries, wanted, todo)
                except Unfit:
                    break  # The CPU explains what is wrong with the vectors.
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
                # Only here has Python released the memory of the failed search.
                del search
                self._halve()
        return [], todo

    def _opened(self, index: StoredVectors) -> DeviceSearch | None:
        """Return the vectors on the device; None if it has no memory for them."""
        if self._search is not None:
            return self._search
        key = _key(index, self.device)
        self._search = _shared.get(key)
        if self._search is not None:
            return self._search
        if self.budget is None:
            self.budget = free_memory(self.device)
        if self.budget < LEAST:
            incidents.note_once(f"{self.device} has too little free memory; the CPU searches.")
            return None
        vectors = DeviceVectors(
            index.count, index.dimension, _scale(index), self.device, self.budget
        )
        if not vectors.fit:
            incidents.note_once(
                f"The vectors of {index.directory.name} do not fit in the memory of "
                f"{self.device}; each task reads them from disk. A larger --block-size helps."
            )
        self._search = _shared[key] = DeviceSearch(vectors)
        return self._search

    def _halve(self) -> None:
        """Give the memory of the device back, and use half of it from now on."""
        for key, search in list(_shared.items()):
            if search is self._search:
                del _shared[key]
        self._search = None
        self.budget = (self.budget or free_memory(self.device)) // 2
        incidents.note(
            f"The search took too much memory of {self.device}, and continued with half of it."
        )


class _Searching:
    """The search of an index by its vectors on a device."""

    def __init__(self, index: StoredVectors, search: DeviceSearch) -> None:
        self._index, self._search = index, search

    def by_depth(self, queries: Vectors, wanted: Ints, todo: Ints) -> tuple[list[Hits], Ints]:
        """Search for queries that want about as many documents together."""
        parts, left = [], [todo[:0]]
        depth = np.ceil(np.log2(wanted[todo]))
        for one in np.unique(depth):
            rows = todo[depth == one]
            hits, short = self._find(queries[rows], wanted[rows])
            parts += [(rows[query], slots, scores) for query, slots, scores in hits]
            left.append(rows[short])
        return parts, np.sort(np.concatenate(left))

    def _find(self, queries: Vectors, k: Ints) -> tuple[list[Hits], Ints]:
        parts: list[Hits] = []
        left = np.ones(len(k), bool)
        least = np.full(len(k), np.nan, np.float32)
        for part, found in self._search.propose(queries, k, self._read):
            scores = self._index.score_pairs(queries[part], found.query, found.slots)
            query, slots, best = best_first(found, scores, np.where(found.certain, k[part], 0))
            parts.append((query + part.start, slots, best))
            left[part] = ~found.certain
            least[part] = found.least
        again = np.flatnonzero(left & ~np.isnan(least))
        if len(again):
            for rows, hits in self._collected(queries[again], k[again], least[again]):
                parts.append((again[hits[0]], *hits[1:]))
                left[again[rows]] = False
        return parts, np.flatnonzero(left)

    def _collected(self, queries: Vectors, k: Ints, least: Vectors) -> Iterator[tuple[Ints, Hits]]:
        """Yield queries with their hits, from all documents that could be among these."""
        for rows, query, slots in self._search.collect(queries, least, self._read):
            order = np.argsort(slots, kind="stable")
            query, slots = rows[query[order]], slots[order]
            scores = self._index.score_pairs(queries, query, slots).astype(np.float64)
            best = top_k(query, slots, scores, k)
            yield rows, (best.query_of_hit, best.slots, best.scores)

    def _read(self, start: int, target: Vectors) -> None:
        """Copy the vectors from slot `start` on, on threads."""
        rows, stop = self._index.shard_rows, start + len(target)
        edges = {start, *range(start - start % rows + rows, stop, rows)}
        edges |= {*range(start - start % COPIED + COPIED, stop, COPIED)}
        starts = sorted(edges)

        def copy(span: tuple[int, Vectors]) -> None:
            at, part = span
            target[at : at + len(part)] = part
            give_back(part)

        spans = []
        for first, end in zip(starts, [*starts[1:], stop], strict=True):
            shard, row = divmod(first, rows)
            spans.append((first - start, self._index.part(shard, row, end - first)))
        on_threads(self._index.pool, copy, spans)


def _current(device: str) -> AbstractContextManager[object]:
    """Make a device of CUDA the current one, on whose streams PyTorch works."""
    import torch

    return torch.cuda.device(device) if device.startswith("cuda") else nullcontext()


def _key(index: StoredVectors, device: str) -> tuple[object, ...]:
    """Return what tells the vectors of an index on a device from all others."""
    found = [(path.resolve(), path.stat()) for path in index.paths]
    files = [(path, at.st_ino, at.st_size, at.st_mtime_ns) for path, at in found]
    return (device, index.compared_by, *files)


def _scale(index: StoredVectors) -> float:
    """Return a power of two that brings the lengths of the vectors near 1."""
    if index.compared_by == "cosine":
        return 1.0
    sample = index.part(0, 0, SAMPLE)
    longest = float(norms_of(sample).max())
    return float(np.ldexp(1.0, -int(np.frexp(longest)[1]))) if longest else 1.0


def best_first(found: Proposed, scores: Vectors, k: Ints) -> Hits:
    """Return the best of scored documents: query, slot and score, by score, then by slot.

    Args:
        found: the documents.
        scores: of its pairs, shape (pairs,).
        k: how many of each query, shape (queries,).
    """
    counts = np.bincount(found.query, minlength=len(k))
    shape = len(k), int(counts.max(initial=0))
    # Numbers that ascend where scores descend, then the columns. The sum has no negative zeros.
    bits = (scores + np.float32(0)).view(np.uint32)
    descending = np.where(bits >> 31, bits, ~(bits | np.uint32(1 << 31))).astype(np.uint64)
    keys = np.full(shape, np.iinfo(np.uint64).max)
    at = found.query, found.column
    keys[at] = descending << np.uint64(32) | found.column.astype(np.uint64)
    keys.sort(axis=1)
    depths = np.minimum(k, counts)
    query = np.repeat(np.arange(len(k)), depths)
    rank = np.arange(len(query)) - np.repeat(offsets_of(depths)[:-1], depths)
    column = (keys[query, rank] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    slots, of_pairs = np.empty(shape, np.int64), np.empty(shape, np.float32)
    slots[at], of_pairs[at] = found.slots, scores
    return query, slots[query, column], of_pairs[query, column].astype(np.float64)
