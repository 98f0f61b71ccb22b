"""Shards of vectors on disk: written by an encoder, memory-mapped, scored exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property, lru_cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import (
    MatrixFile,
    Shape,
    check_values,
    give_back,
    load_array,
    save_array,
)
from hnmine.compiled import compiled
from hnmine.encode.declared import Similarity
from hnmine.encode.interface import Encoder, Kind
from hnmine.errors import damage_explained
from hnmine.inputs.table_reader import BadRows
from hnmine.inputs.texts import Texts
from hnmine.ragged import Bools, Floats, Ints
from hnmine.runner.checkpoints import on_threads

ENCODE_BLOCK, BLOCK_CHARACTERS = 1024, 1 << 26
"""Texts in one call of an encoder that names no other number, and characters in a call of more."""

NO_VECTOR = "with a text that the encoder gives no vector (it knows none of its words)"
SCORE_BLOCK = 1 << 14
OPEN_SHARDS = 64
DENSE = 1 / 16
"""Share of a shard's rows from which it is mapped; fewer are read one by one."""

Vectors = NDArray[np.float32]


def _shape_of(paths: list[Path], shape: Shape, shard: int) -> Shape:
    """Return the shape of a shard; each but the last has as many rows as the first."""
    return (shape[0] if shard < len(paths) - 1 else None, shape[1])


def _open_shard(paths: list[Path], shape: Shape, shard: int) -> Vectors:
    vectors: Vectors = load_array(paths[shard], np.float32, _shape_of(paths, shape, shard))
    return vectors


def _open_rows(paths: list[Path], shape: Shape, shard: int) -> MatrixFile:
    return MatrixFile.open(paths[shard], _shape_of(paths, shape, shard))


def write_vectors(
    texts: Iterator[str],
    encoder: Encoder,
    path: Path,
    tick: Callable[[int], None],
    kind: Kind = "document",
    without: Callable[[Ints], None] = lambda rows: None,
) -> dict[str, int]:
    """Encode one shard of texts and write its vectors, float32, shape (texts, dimension).

    `without` is called with the positions of texts whose vectors are zeros.

    Returns:
        Counts: `vectors` that are not zeros.
    """
    parts, empty, done = [], 0, 0
    for block in _blocks(texts, getattr(encoder, "at_once", ENCODE_BLOCK)):
        parts.append(encoder.encode(block, kind))
        zeros = np.flatnonzero(~parts[-1].any(axis=1))
        if len(zeros):
            without(done + zeros)
        done, empty = done + len(block), empty + len(zeros)
        tick(len(block))
    with path.open("wb") as file:
        save_array(file, np.concatenate(parts))
    return {"vectors": done - empty}


def _blocks(texts: Iterator[str], most: int) -> Iterator[list[str]]:
    """Divide texts into blocks of at most so many, and of few long ones."""
    while some := list(islice(texts, min(most, ENCODE_BLOCK))):
        characters = sum(map(len, some))
        while len(some) < most and characters < BLOCK_CHARACTERS:
            if not (more := list(islice(texts, ENCODE_BLOCK))):
                break
            some += more
            characters += sum(map(len, more))
        yield some


def refuse_without_vector(
    bad: BadRows, what: str, texts: Texts, rows: Ints
) -> Callable[[Ints], None]:
    """Return a callback of `write_vectors` that records texts without a vector by their ids.

    `rows` are those of the shard's texts. Where bad rows are errors, the first block with one ends
    the task.
    """

    def record(places: Ints) -> None:
        for name in texts.id_array(rows[places]).to_pylist():
            bad.add(NO_VECTOR, f"{what} {name!r}")
        bad.settle()

    return record


@compiled(fastmath={"reassoc", "contract"})
def dots(
    queries: Vectors,
    query: Ints,
    vectors: Vectors,
    row: Ints,
    at: Ints,
    scores: NDArray[np.float32],
) -> None:
    """Write `queries[query[i]] @ vectors[row[i]]` to `scores[at[i]]`.

    A product depends on its two vectors alone, not on the batch.

    Args:
        queries: shape (queries, dimension).
        query: of each pair, shape (pairs,).
        vectors: shape (vectors, dimension); may be memory-mapped.
        row: of each pair, shape (pairs,).
        at: where each product belongs, shape (pairs,).
        scores: the output, one-dimensional.
    """
    dimension = queries.shape[1]
    for i in range(len(row)):
        left, right = queries[query[i]], vectors[row[i]]
        total = 0.0
        for d in range(dimension):
            total += np.float64(left[d]) * np.float64(right[d])
        scores[at[i]] = np.float32(total)


def norms_of(vectors: Vectors) -> Floats:
    """Return the length of each vector, shape (n,)."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))


class StoredVectors:
    """Vectors by slot; every score is the float64 dot product, rounded to float32.

    Vectors have length 1, and dot products are cosines, unless they are compared by `dot`. Zero
    vectors have no score.
    """

    def __init__(
        self, directory: Path, threads: int, count: int | None, similarity: Similarity
    ) -> None:
        """Open a directory of vectors.

        Raises:
            InputError: they are damaged, or not `count`.
        """
        self.directory, self.compared_by = directory, similarity
        self.paths = sorted((directory / "vectors").glob("*.npy"))
        self.pool = ThreadPoolExecutor(threads)
        with damage_explained(directory):
            numbered = [f"{n:05d}" for n in range(max(1, len(self.paths)))]
            if [path.stem for path in self.paths] != numbered:
                raise ValueError("A shard of its vectors is missing.")
        first = load_array(self.paths[0], np.float32, (None, None))
        self.shard_rows, self.dimension = first.shape
        # Not a method, which would keep the index and its files open until a collection.
        self._shard = lru_cache(maxsize=OPEN_SHARDS)(partial(_open_shard, self.paths, first.shape))
        self._rows = cache(partial(_open_rows, self.paths, first.shape))
        last = len(self.paths) - 1
        self.count = self.shard_rows * last + len(self._shard(last))
        with damage_explained(self.paths[last]):
            if not 0 < len(self._shard(last)) <= self.shard_rows or not self.dimension:
                raise ValueError("It has too few or too many rows.")
            if count not in (None, self.count):
                raise ValueError(f"With it there are {self.count:,} vectors, not {count:,}.")
        self._whole_shards: set[int] = set()

    def score(self, queries: Vectors, offsets: Ints, slots: Ints) -> Floats:
        """Score given documents: query `i` against `slots[offsets[i]:offsets[i + 1]]`.

        Returns:
            Shape (slots,); NaN where either has no vector.
        """
        query = np.repeat(np.arange(len(queries)), np.diff(offsets))
        return self.score_pairs(queries, query, slots).astype(np.float64)

    def score_pairs(self, queries: Vectors, query: Ints, slots: Ints) -> Vectors:
        """Score pairs of a query, given by position, and a document, float32, shape (pairs,)."""
        return self._dots(np.ascontiguousarray(queries), query, slots)

    def similarity(self, one: Ints, other: Ints) -> Vectors:
        """Return the cosines of pairs of documents, given by slot, shape (pairs,).

        NaN where either has no vector.
        """
        cosines = np.empty(len(one), dtype=np.float32)
        for start in range(0, len(one), SCORE_BLOCK):
            block = slice(start, start + SCORE_BLOCK)
            distinct, place = np.unique(one[block], return_inverse=True)
            vectors = self.read(distinct)
            cosines[block] = self._dots(vectors, place, other[block])
            if self.compared_by == "dot":
                others, at = np.unique(other[block], return_inverse=True)
                cosines[block] /= norms_of(vectors)[place] * norms_of(self.read(others))[at]
        return cosines

    def _dots(self, queries: Vectors, query: Ints, slots: Ints) -> Vectors:
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

        def work(at: Ints) -> None:
            shard = int(shards[at[0]])
            vectors, rows = self._holding(shard, slots[at])
            dots(queries, query[at], np.asarray(vectors), rows, at, scores)
            # Others may read the rest of the shard.
            give_back(vectors[rows.min() : rows.max() + 1])

        on_threads(self.pool, work, parts)
        with damage_explained(self.directory):
            if not np.isfinite(scores).all():
                raise ValueError("A product with its vectors is no finite number.")
        if len(naught := np.flatnonzero(scores == 0)):
            asked = np.asarray(queries.any(axis=1))[query[naught]]
            there = asked & self._is_vector(slots[naught])
            scores[naught[~there]] = np.nan
        return scores

    def _is_vector(self, slots: Ints) -> Bools:
        """Tell which slots hold non-zero vectors, shape (slots,)."""
        distinct, place = np.unique(slots, return_inverse=True)
        found = [
            np.any(self.read(distinct[start : start + SCORE_BLOCK]), axis=1)
            for start in range(0, len(distinct), SCORE_BLOCK)
        ]
        there: Bools = np.concatenate(found)
        return there[place]

    @cached_property
    def _longest(self) -> float:
        """The length of the longest vector; 1 for cosines."""
        if self.compared_by == "cosine":
            return 1.0
        longest = 0.0
        for shard in range(len(self.paths)):
            vectors = self._whole(shard)
            longest = max(longest, float(norms_of(vectors).max()))
            give_back(vectors)
        return longest

    def _reach(self, queries: Vectors) -> Floats:
        """Return an upper bound on the scores of each query, by Cauchy and Schwarz, (queries,)."""
        if self.compared_by == "cosine":
            return np.ones(len(queries))
        return norms_of(queries) * self._longest

    def _check(self, queries: Vectors, slots: Ints) -> None:
        """Refuse slots and dimensions for which compiled code would read outside the vectors."""
        with damage_explained(self.directory):
            if queries.shape[1:] != (self.dimension,):
                raise ValueError(
                    f"Its vectors have {self.dimension:,} dimensions, the queries' "
                    f"{queries.shape[-1]:,}."
                )
            check_values(slots, low=0, below=self.count)

    def _whole(self, shard: int) -> Vectors:
        """Open a shard to search; the first time, check its numbers."""
        vectors = self._shard(shard)
        if shard not in self._whole_shards:
            with damage_explained(self.paths[shard]):
                check_values(vectors, finite=True)
            self._whole_shards.add(shard)
        return vectors

    def _holding(self, shard: int, slots: Ints) -> tuple[Vectors, Ints]:
        """Return vectors of a shard, all or only those of some slots, and where the slots are."""
        rows = slots - shard * self.shard_rows
        if len(rows) < DENSE * self.shard_rows:
            return self._rows(shard).read(rows), np.arange(len(rows))
        return self._shard(shard), rows

    def part(self, shard: int, row: int, rows: int) -> Vectors:
        """Return rows of a shard as they are in its file; fewer where it ends."""
        return self._shard(shard)[row : row + rows]

    def read(self, slots: Ints) -> Vectors:
        """Read the vectors of documents, given by slot, shape (slots, dimension)."""
        with damage_explained(self.directory):
            check_values(slots, low=0, below=self.count)
        shards = slots // self.shard_rows
        gathered = np.empty((len(slots), self.dimension), dtype=np.float32)
        for shard in np.unique(shards):
            at = np.flatnonzero(shards == shard)
            vectors, rows = self._holding(int(shard), slots[at])
            gathered[at] = vectors[rows]
            give_back(vectors)
        with damage_explained(self.directory):
            if not np.isfinite(np.vdot(gathered, gathered)):
                raise ValueError("Its vectors hold numbers that are not finite.")
        return gathered

    def directions(self, slots: Ints) -> Vectors:
        """Read vectors scaled to length 1; zeros stay zeros."""
        vectors = self.read(slots)
        if self.compared_by == "cosine":
            return vectors
        norms = np.maximum(norms_of(vectors), np.finfo(np.float64).tiny)
        return (vectors / norms[:, None]).astype(np.float32)
