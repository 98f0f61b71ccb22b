"""Approximate indexes, by the strings of the FAISS index factory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.data.arrays import load_array
from hnmine.errors import PartialRun, UsageError

TRAINING_VECTORS = 1 << 18
ADDED_AT_ONCE = 1 << 14


def check_factory(factory: str, dimension: int) -> Any:
    """Make an empty FAISS index for inner products.

    Args:
        factory: a string of the FAISS index factory, such as `IVF4096,SQ8`.
        dimension: of the vectors.

    Raises:
        UsageError: FAISS does not know the string, or it does not fit the dimension.
    """
    import faiss

    try:
        return faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise _no_such_index(factory, error) from error


def build_faiss(factory: str, shards: Sequence[Path], path: Path, threads: int) -> dict[str, int]:
    """Train and fill an approximate index from vector shards and write it to one file.

    Raises:
        UsageError: FAISS cannot train it on so few vectors.
        PartialRun: FAISS cannot write the file.
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    # Each shard is opened when it is needed: thousands would be more files than may be open.
    rows, dimension = zip(*(_open(shard).shape for shard in shards), strict=True)
    total = sum(rows)
    index = check_factory(factory, dimension[0])
    step = max(1, total // TRAINING_VECTORS)
    try:
        if not index.is_trained:
            # Every step-th vector of all, however they are cut into shards.
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
            fix="Make room, then run the same command: what was finished is kept.",
        ) from error
    return {"indexed": total}


def _open(shard: Path) -> NDArray[np.float32]:
    return load_array(shard, np.float32, (None, None))


def _in_blocks(shards: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of all shards, so many at once: how many share a product shows in its bits."""
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
