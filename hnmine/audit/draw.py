"""Random samples of chosen negatives that anybody can draw again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hnmine.keyed_noise import keyed_noise, mixed


def draw_order(seed: int, query_ids: Sequence[str], doc_ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return a random number for each pair: its rank is the pair's place in the draw.

    Mixed again, because `--sampling` chooses by the same noise.
    """
    return mixed(keyed_noise(seed, query_ids, doc_ids))
