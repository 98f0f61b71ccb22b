"""Random numbers that depend on ids alone: row order, threads and block size change nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xxhash
from numpy.typing import NDArray


def keyed_noise(seed: int, query_ids: Sequence[str], doc_ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return a random number for each (query, document) that depends only on their ids.

    Two 64-bit hashes, mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    Row order, threads and block size do not change it.
    """
    return grouped_noise(seed, query_ids, np.arange(len(query_ids)), doc_ids)


def grouped_noise(
    seed: int, query_ids: Sequence[str], query: NDArray[np.int64], doc_ids: Sequence[str]
) -> NDArray[np.uint64]:
    """Return the `keyed_noise` of each document and `query_ids[query]`; hash each query once."""
    with np.errstate(over="ignore"):
        return mixed(hashes(query_ids, seed * 2 + 1)[query] + hashes(doc_ids, seed * 2))


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter 64-bit numbers: the finaliser of SplitMix64."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def hashes(ids: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each id, shape (n,)."""
    seed %= 1 << 64
    return np.fromiter(
        (xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"), seed) for text in ids),
        dtype=np.uint64,
        count=len(ids),
    )
