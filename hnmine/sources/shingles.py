"""Near copies: the share of one text's shingles that another text has too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.index.order import ascend
from hnmine.index.tokenise import Tokeniser
from hnmine.inputs.identity import normalise
from hnmine.ragged import Ints, offsets_of, ragged

WORDS = 5
"""Words in a shingle. A text of fewer words is one shingle."""

_WORDS = Tokeniser(stemmer="none")

Shingles = tuple[Ints, NDArray[np.uint64]]
"""Offsets of each text, and the hashes of its distinct shingles, ascending."""


def shingles(texts: Sequence[str], words: int = WORDS) -> Shingles:
    """Return the hashes of the distinct runs of `words` words of each normalised text.

    Words are those of BM25: bigrams in scripts without spaces.
    """
    distinct, tokens, lengths = _WORDS.split(map(normalise, texts))
    counts, hashes = _hash_shingles(
        distinct.hashes[tokens], offsets_of(lengths.astype(np.int64)), words
    )
    return offsets_of(counts), hashes


class Remembered:
    """Shingles of documents, cached from call to call: blocks of queries share documents."""

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
        cached_offsets, cached = self._shingles
        counts = np.concatenate([np.diff(cached_offsets), np.diff(offsets)])
        starts = np.concatenate([cached_offsets[:-1], offsets[:-1] + len(cached)])
        both_rows = np.concatenate([self._rows, new])
        order = np.argsort(both_rows)
        position = order[np.searchsorted(both_rows, rows, sorter=order)]
        both = np.concatenate([cached, hashes])[ragged(starts[position], counts[position])]
        self._rows, self._shingles = rows, (offsets_of(counts[position]), both)
        return self._shingles


def containment(
    texts: Shingles, each: Ints, others: Ints, ranges: tuple[Ints, Ints]
) -> NDArray[np.float32]:
    """Return the largest containment of each text with any of some others, shape (n,).

    The containment is `|A ∩ B| / min(|A|, |B|)` over shingles (Broder 1997, "On the resemblance and
    containment of documents"): 1 for a copy, and for an excerpt and its source. The arguments are
    those of `containments`, of which it is the larger one.
    """
    return np.maximum(*containments(texts, each, others, ranges))


def containments(
    texts: Shingles, each: Ints, others: Ints, ranges: tuple[Ints, Ints]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how much of each text another has, and how much of another it has, both shape (n,).

    The largest `|A ∩ B| / |A|` and `|A ∩ B| / |B|` over shingles, for a text A and any other B. The
    first is 1 for an excerpt of another, the second for a text that holds another.

    Args:
        texts: their shingles.
        each: positions in `texts`, shape (n,).
        others: positions in `texts`.
        ranges: first and last + 1 position in `others` to compare each with, both shape (n,).
    """
    shares = _largest_shares(*texts, each, others, *ranges)
    return shares[0], shares[1]


@compiled()
def _hash_shingles(
    tokens: NDArray[np.uint64], bounds: Ints, words: int
) -> tuple[Ints, NDArray[np.uint64]]:
    counts = np.zeros(len(bounds) - 1, dtype=np.int64)
    hashes = np.empty(len(tokens), dtype=np.uint64)
    end = 0
    for text in range(len(bounds) - 1):
        start, last = end, bounds[text + 1]
        size = min(words, last - bounds[text])
        if size > 0:
            for first in range(bounds[text], last - size + 1):
                hashes[end] = _combine(tokens[first : first + size], words)
                end += 1
        found, end = hashes[start:end], start
        ascend(found)
        for value in found:
            if end == start or value != hashes[end - 1]:
                hashes[end] = value
                end += 1
        counts[text] = end - start
    return counts, hashes[:end].copy()


@compiled()
def _combine(tokens: NDArray[np.uint64], words: int) -> np.uint64:
    total = np.uint64(words)
    for token in tokens:
        total = (total ^ token) * np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(32)
    return total


@compiled()
def _largest_shares(
    offsets: Ints, hashes: NDArray[np.uint64], each: Ints, others: Ints, starts: Ints, stops: Ints
) -> NDArray[np.float32]:
    largest = np.zeros((2, len(each)), dtype=np.float32)
    for i in range(len(each)):
        left = hashes[offsets[each[i]] : offsets[each[i] + 1]]
        for other in others[starts[i] : stops[i]]:
            right = hashes[offsets[other] : offsets[other + 1]]
            if min(len(left), len(right)) > 0:
                common = _common(left, right)
                largest[0, i] = max(largest[0, i], np.float32(common / len(left)))
                largest[1, i] = max(largest[1, i], np.float32(common / len(right)))
    return largest


@compiled()
def _common(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> int:
    """Return how many numbers two ascending arrays share."""
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
