"""Terms as bytes in a memory map: a vocabulary of millions needs no Python dict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.ragged import Ints

Vocabulary = tuple[Ints, NDArray[np.uint8]]
"""Boundaries of the terms, one more than there are, and their bytes, sorted by them."""


def vocabulary_of(terms: list[str] | pa.LargeStringArray) -> Vocabulary:
    """Return sorted terms, given as a list or as a LargeStringArray from its first place on."""
    array = pa.array(terms, pa.large_string())
    if not len(array):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, offsets, letters = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[: len(array) + 1]
    return bounds, np.frombuffer(letters, np.uint8)[: bounds[-1]]


def union_of(vocabularies: Iterable[Sequence[NDArray[np.number]]]) -> Vocabulary:
    """Return the terms of several vocabularies, each once."""
    union, waiting = pa.array([], pa.large_string()), []
    for offsets, letters in vocabularies:
        buffers = pa.py_buffer(offsets), pa.py_buffer(letters)
        waiting.append(pa.LargeStringArray.from_buffers(len(offsets) - 1, *buffers))
        # As much at once as there is already: every term is gone through a few times in all.
        if sum(map(len, waiting)) > len(union):
            union, waiting = pc.unique(pa.chunked_array([union, *waiting])), []
    union = pc.unique(pa.chunked_array([union, *waiting]))
    return vocabulary_of(union.take(pc.sort_indices(union)))


def letters(terms: list[str]) -> NDArray[np.uint8]:
    """Join terms to one array of UTF-8 bytes."""
    return np.frombuffer(bytearray("".join(terms), "utf-8"), dtype=np.uint8)


@compiled()
def find_terms(
    offsets: Ints,
    letters: NDArray[np.uint8],
    wanted_offsets: Ints,
    wanted_letters: NDArray[np.uint8],
) -> Ints:
    """Look up terms in a sorted vocabulary by binary search, -1 for an unknown one.

    Both lists are UTF-8 bytes with boundaries; the order of bytes is the order of code points.

    Args:
        offsets: boundaries of the vocabulary, shape (terms + 1,).
        letters: bytes of the vocabulary.
        wanted_offsets: boundaries of the terms to look up, shape (wanted + 1,).
        wanted_letters: their bytes.
    """
    found = np.empty(len(wanted_offsets) - 1, np.int64)
    for w in range(len(found)):
        found[w] = -1
        word = wanted_letters[wanted_offsets[w] : wanted_offsets[w + 1]]
        low, high = 0, len(offsets) - 1
        while low < high:
            middle = (low + high) // 2
            if _before(letters[offsets[middle] : offsets[middle + 1]], word):
                low = middle + 1
            else:
                high = middle
        if low < len(offsets) - 1 and not _before(word, letters[offsets[low] : offsets[low + 1]]):
            found[w] = low
    return found


@compiled()
def _before(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> bool:
    for i in range(min(len(left), len(right))):
        if left[i] != right[i]:
            return bool(left[i] < right[i])
    return len(left) < len(right)
