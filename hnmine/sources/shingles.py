"""Near copies: how much of one text stands word for word in another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.data.identity import normalise
from hnmine.index.topk import offsets_of, ragged

WORDS = 5
"""Words in a shingle. A text of fewer words is one shingle."""

Ints = NDArray[np.int64]
Shingles = tuple[Ints, NDArray[np.uint64]]
"""Boundaries of each text, and the hashes of its distinct shingles, ascending."""


def shingles(texts: Sequence[str], words: int = WORDS) -> Shingles:
    """Hash the distinct runs of `words` words of each text, after normalising it.

    A word is a run of ASCII letters, digits and underscores, or of any other characters than ASCII.
    """
    encoded = [normalise(text).encode("utf-8", "replace") for text in texts]
    letters = np.frombuffer(b"".join(encoded) or b" ", dtype=np.uint8)
    bounds = offsets_of(np.array([len(text) for text in encoded], dtype=np.int64))
    counts, hashes = _hash_shingles(letters, bounds, words)
    return offsets_of(counts), hashes


class Remembered:
    """The shingles of documents, those of the last call kept: blocks of queries share documents."""

    def __init__(self) -> None:
        self._rows: Ints = np.empty(0, dtype=np.int64)
        self._shingles: Shingles = offsets_of(self._rows), np.empty(0, dtype=np.uint64)

    def of(self, rows: Ints, texts: Callable[[Ints], Sequence[str]]) -> Shingles:
        """Return the shingles of documents.

        Args:
            rows: the documents, ascending, each once.
            texts: reads documents.
        """
        new = rows[~np.isin(rows, self._rows)]
        offsets, hashes = shingles(texts(new))
        known, at = self._shingles
        counts = np.concatenate([np.diff(known), np.diff(offsets)])
        starts = np.concatenate([known[:-1], offsets[:-1] + len(at)])
        together = np.concatenate([self._rows, new])
        order = np.argsort(together)
        place = order[np.searchsorted(together, rows, sorter=order)]
        both = np.concatenate([at, hashes])[ragged(starts[place], counts[place])]
        self._rows, self._shingles = rows, (offsets_of(counts[place]), both)
        return self._shingles


def containment(
    texts: Shingles, each: Ints, others: Ints, ranges: tuple[Ints, Ints]
) -> NDArray[np.float32]:
    """Return how much each text shares with the one among some others that it shares most with.

    Two texts share `|A ∩ B| / min(|A|, |B|)` of their shingles (Broder 1997, "On the resemblance
    and containment of documents"): 1 for a copy, and for an excerpt and its source.

    Args:
        texts: their shingles.
        each: positions in `texts`, shape (n,).
        others: positions in `texts`.
        ranges: first and last + 1 position in `others` to compare each with, both shape (n,).
    """
    return _largest_share(*texts, each, others, *ranges)


@compiled()
def _is_word(byte: int) -> bool:
    return byte >= 128 or 97 <= byte <= 122 or 48 <= byte <= 57 or byte == 95


@compiled()
def _hash_shingles(
    letters: NDArray[np.uint8], bounds: Ints, words: int
) -> tuple[Ints, NDArray[np.uint64]]:
    counts = np.zeros(len(bounds) - 1, dtype=np.int64)
    # A word is a letter and a space at least.
    hashes = np.empty((len(letters) + len(bounds)) // 2 + len(bounds), dtype=np.uint64)
    ring = np.zeros(words, dtype=np.uint64)
    end = 0
    for text in range(len(bounds) - 1):
        start = end
        seen = 0
        i = bounds[text]
        while i < bounds[text + 1]:
            if not _is_word(letters[i]):
                i += 1
                continue
            word = np.uint64(14695981039346656037)
            while i < bounds[text + 1] and _is_word(letters[i]):
                word = (word ^ np.uint64(letters[i])) * np.uint64(1099511628211)
                i += 1
            ring[seen % words] = word
            seen += 1
            if seen >= words:
                hashes[end] = _combine(ring, seen, words)
                end += 1
        if 0 < seen < words:
            hashes[end] = _combine(ring, seen, seen)
            end += 1
        found, end = hashes[start:end], start
        found.sort()
        for value in found:
            if end == start or value != hashes[end - 1]:
                hashes[end] = value
                end += 1
        counts[text] = end - start
    return counts, hashes[:end].copy()


@compiled()
def _combine(ring: NDArray[np.uint64], seen: int, words: int) -> np.uint64:
    """Hash the last `words` words in their order."""
    total = np.uint64(words)
    for back in range(words, 0, -1):
        total = (total ^ ring[(seen - back) % len(ring)]) * np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(32)
    return total


@compiled()
def _largest_share(
    offsets: Ints, hashes: NDArray[np.uint64], each: Ints, others: Ints, starts: Ints, stops: Ints
) -> NDArray[np.float32]:
    largest = np.zeros(len(each), dtype=np.float32)
    for i in range(len(each)):
        left = hashes[offsets[each[i]] : offsets[each[i] + 1]]
        for other in others[starts[i] : stops[i]]:
            right = hashes[offsets[other] : offsets[other + 1]]
            smaller = min(len(left), len(right))
            if smaller > 0:
                largest[i] = max(largest[i], np.float32(_common(left, right) / smaller))
    return largest


@compiled()
def _common(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> int:
    """Count the numbers that two ascending arrays share."""
    a = b = common = 0
    while a < len(left) and b < len(right):
        if left[a] == right[b]:
            common += 1
            a += 1
            b += 1
        elif left[a] < right[b]:
            a += 1
        else:
            b += 1
    return common
