"""The share of a text that many other texts have too, line by line and sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
import xxhash
from numpy.typing import NDArray

from hnmine.inputs.identity import normalise
from hnmine.ragged import Ints

MANY = 5
"""Documents that a line or sentence must occur in."""

_ENDS = re.compile("\n|(?<=[.!?\u0964\u061f])\\s|(?<=[\u3002\uff01\uff1f])")
"""The end of a line or a sentence; those of Chinese and Japanese need no blank."""


def boilerplate_shares(read: Callable[[], Iterable[str]]) -> NDArray[np.float32]:
    """Return the share of each text's characters in pieces that many texts have, shape (texts,).

    A piece is a line or a sentence, compared as texts are: by letters, not by case or white space.

    Args:
        read: streams distinct texts; called twice, so that only hashes are held in memory.
    """
    distinct = [np.unique(hashes_of(text)[0]) for text in read()]
    every = np.concatenate([np.empty(0, np.uint64), *distinct])
    known, counts = np.unique(every, return_counts=True)
    common = known[counts >= MANY]
    return np.array([_share(*hashes_of(text), common) for text in read()], np.float32)


def pieces_of(text: str) -> list[str]:
    """Return the normalised lines and sentences of a text, without empty ones."""
    return [piece for part in _ENDS.split(text) if (piece := normalise(part))]


def hashes_of(text: str) -> tuple[NDArray[np.uint64], Ints]:
    """Return the hash and the length of each line or sentence of a text."""
    pieces = pieces_of(text)
    hashes = [xxhash.xxh3_64_intdigest(piece.encode("utf-8", "surrogatepass")) for piece in pieces]
    return np.array(hashes, np.uint64), np.array([len(piece) for piece in pieces], np.int64)


def _share(hashes: NDArray[np.uint64], lengths: Ints, common: NDArray[np.uint64]) -> float:
    return float(lengths[np.isin(hashes, common)].sum() / max(lengths.sum(), 1))
