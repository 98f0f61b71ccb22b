"""What a source of candidates is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hnmine.index.topk import Ranking


@dataclass(frozen=True)
class Block:
    """A block of queries, ready to be searched with.

    Attributes:
        search: given `k`, shape (queries,), return the best `k[q]` documents of each query. The
            list is raw: known positives are in it, and whoever asks adds their number to `k`.
        score: given `offsets`, shape (queries + 1,), and `slots`, score these documents: query
            `i` against `slots[offsets[i]:offsets[i + 1]]`.
    """

    search: Callable[[NDArray[np.int64]], Ranking]
    score: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]


Source = Callable[[Sequence[str]], Block]
"""Takes the texts of a block of queries; deterministic, and each query is on its own."""
