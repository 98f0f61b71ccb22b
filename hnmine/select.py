"""Which survivors become hard negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray


def choose(
    query: NDArray[np.int64], keep: NDArray[np.bool_], order: NDArray[Any], n: int
) -> NDArray[np.bool_]:
    """Mark the first `n` survivors of each query.

    Args:
        query: the query of each candidate, shape (candidates,).
        keep: whether it survived the filters.
        order: the smaller, the earlier; ties go to the earlier row.
        n: how many to mark.
    """
    rows = np.flatnonzero(keep)
    rows = rows[np.lexsort((rows, order[rows], query[rows]))]
    groups = query[rows]
    starts = (
        np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]])) if len(rows) else rows
    )
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    selected = np.zeros(len(keep), dtype=bool)
    selected[rows[place < n]] = True
    return selected


def keyed_noise(seed: int, query_ids: Sequence[str], doc_ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return a random number for each (query, document) that depends on nothing but their ids.

    Two 64-bit hashes, mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    Row order, threads and block size do not change it.
    """
    with np.errstate(over="ignore"):
        x = _hashes(query_ids, seed * 2 + 1) + _hashes(doc_ids, seed * 2)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def _hashes(ids: Sequence[str], seed: int) -> NDArray[np.uint64]:
    seed %= 1 << 64
    return np.fromiter(
        (xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"), seed) for text in ids),
        dtype=np.uint64,
        count=len(ids),
    )
