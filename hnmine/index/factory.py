"""Check and build approximate indexes from strings of the FAISS index factory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import load_array
from hnmine.errors import PartialRun, UsageError
from hnmine.index.approximate import parts_of

if TYPE_CHECKING:
    import faiss

TRAINING_VECTORS = 1 << 18
ADDED_AT_ONCE = 1 << 14

A_FEW, TRIAL = 128, 1024
"""Fewest and most vectors of a trial; an index that needs more is not tried."""

ADVISED = 39
"""Vectors for each centroid below which FAISS warns."""


def check_factory(factory: str, dimension: int, count: int | None = None) -> None:
    """Check that FAISS can build an index of so many vectors, searched by inner products.

    Args:
        factory: the string.
        dimension: of the vectors.
        count: how many there are; None: enough.

    Raises:
        UsageError: FAISS does not know the string, it does not fit the dimension, the vectors are
            too few to train it, or hnmine cannot fill or search it.
    """
    import faiss

    index = _empty(factory, dimension)
    needed = centroids(index)
    if needed > TRAINING_VECTORS:
        raise UsageError(
            f"--faiss {factory!r} has {needed:,} centroids, too many to train.",
            why=f"hnmine trains an index on {TRAINING_VECTORS:,} vectors, evenly spread.",
            fix=f"Use no more than IVF{_lists(TRAINING_VECTORS)}.",
        )
    count = max(needed, A_FEW) if count is None else count
    if needed > -(-count // _step(count)):
        raise UsageError(
            f"--faiss {factory!r} needs at least {needed:,} vectors; the index has {count:,}.",
            why=f"FAISS trains {needed:,} centroids, and advises {ADVISED} vectors for each.",
            fix=f"Use Flat (exact), or no more than IVF{_lists(count)}.",
        )
    if needed > TRIAL:
        return
    numbers = np.random.default_rng(0)
    size = min(count, max(needed, A_FEW))
    vectors = numbers.standard_normal((size, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for part in parts_of(index):
        for step in _steps(part):
            if isinstance(step, faiss.OPQMatrix):
                step.niter, step.niter_pq, step.niter_pq_0 = 1, 1, 1
        for trained in (part, getattr(part, "pq", None)):
            settings = getattr(trained, "cp", None)
            if settings is not None:
                # FAISS should not warn of the size of the trial.
                settings.min_points_per_centroid, settings.niter = 1, 1
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.train(vectors)
        index.add(vectors)
        index.search(vectors[:1], 1)
    except RuntimeError as error:
        raise _no_such_index(factory, error) from error
    finally:
        faiss.omp_set_num_threads(threads)


def _lists(count: int) -> int:
    """Return how many lists of an inverted file FAISS advises for so many vectors."""
    return int(2 ** max(0, (count // ADVISED).bit_length() - 1))


def _empty(factory: str, dimension: int) -> faiss.Index:
    import faiss

    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise _no_such_index(factory, error) from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise UsageError(
            f"FAISS cannot build --faiss {factory!r} for inner products.",
            why="It would compare vectors by distance.",
            fix="Use Flat (exact), HNSW32, or IVF lists with PQ or SQ8.",
        )
    for part in parts_of(index):
        if hasattr(part, "do_polysemous_training"):
            # It takes minutes, and only search by Hamming distance uses it.
            part.do_polysemous_training = False
    return index


def centroids(index: faiss.Index) -> int:
    """Return the most centroids that an index trains at once, the vectors that it needs."""
    import faiss

    counts = [1]
    for part in parts_of(index):
        counts.append(getattr(part, "nlist", 0))
        counts.append(getattr(getattr(part, "pq", None), "ksub", 0))
        for name in ("rq", "lsq", "prq", "plsq"):
            quantizer = getattr(part, name, None)
            bits = faiss.vector_to_array(quantizer.nbits) if quantizer is not None else []
            counts += [2 ** int(most) for most in bits]
        for step in _steps(part):
            # With fewer vectors than dimensions, FAISS's rotation writes outside its memory.
            counts.append(max(256, step.d_in) if isinstance(step, faiss.OPQMatrix) else 0)
            counts.append(step.d_out if isinstance(step, faiss.PCAMatrix) else 0)
    return max(counts)


def _steps(part: faiss.Index) -> Iterator[faiss.VectorTransform]:
    """Yield the transforms of vectors before an index, such as rotations."""
    import faiss

    for n in range(part.chain.size() if hasattr(part, "chain") else 0):
        yield faiss.downcast_VectorTransform(part.chain.at(n))


def _step(total: int) -> int:
    return max(1, total // TRAINING_VECTORS)


def build_faiss(factory: str, shards: Sequence[Path], path: Path, threads: int) -> dict[str, int]:
    """Train and fill an approximate index from vector shards and write it to one file.

    Raises:
        UsageError: FAISS cannot train it on so few vectors.
        PartialRun: FAISS cannot write the file.
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    # Open each shard when needed: thousands would exceed the limit of open files.
    rows, dimension = zip(*(_open(shard).shape for shard in shards), strict=True)
    total = sum(rows)
    index = _empty(factory, dimension[0])
    step = _step(total)
    try:
        if not index.is_trained:
            # Every step-th vector of all, independent of shards.
            firsts = np.cumsum([0, *rows])
            sample = [
                np.array(_open(shard)[-first % step :: step])
                for shard, first in zip(shards, firsts, strict=False)
            ]
            index.train(np.concatenate(sample))
        for block in _in_blocks(shards):
            index.add(block)
    except RuntimeError as error:
        raise _no_such_index(factory, error) from error
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        raise PartialRun(
            f"FAISS cannot write {path}.",
            why=str(error).strip().splitlines()[-1],
            fix="Free disk space, then rerun; finished work is kept.",
        ) from error
    return {"indexed": total}


def _open(shard: Path) -> NDArray[np.float32]:
    return load_array(shard, np.float32, (None, None))


def _in_blocks(shards: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of all shards in equal blocks, as their size changes the last bits."""
    waiting: list[NDArray[np.float32]] = []
    count = 0
    for shard in shards:
        waiting.append(np.array(_open(shard)))
        count += len(waiting[-1])
        if count >= ADDED_AT_ONCE:
            rows = np.concatenate(waiting)
            whole = count - count % ADDED_AT_ONCE
            yield from np.split(rows[:whole], whole // ADDED_AT_ONCE)
            waiting, count = [rows[whole:]], count - whole
    if count:
        yield np.concatenate(waiting)


def _no_such_index(factory: str, error: RuntimeError) -> UsageError:
    return UsageError(
        f"FAISS cannot build --faiss {factory!r} for these vectors.",
        why=str(error).strip().splitlines()[-1],
        fix="Use Flat (exact), or see FAISS's guide to the index factory; an inverted file needs "
        "at least as many vectors as lists, and PQ a divisor of the dimension.",
    )
