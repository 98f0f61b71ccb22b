"""Transpose lists: documents of each term, and terms of each document."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.ragged import Ints

# Boundaries of lists, the items of each list, ascending, and their frequencies.
Lists = tuple[Ints, NDArray[np.int32], NDArray[np.int32]]


@compiled()
def count_owners(lengths: NDArray[np.int32], terms: NDArray[np.int32], width: int) -> Lists:
    """List for each term which documents hold it, and how often.

    Args:
        lengths: how many tokens each document has, shape (documents,).
        terms: the term of every token, document after document, below `width`, shape (tokens,).
        width: how many terms there are.
    """
    latest, offsets = np.empty(width, np.int32), np.zeros(width + 1, np.int64)
    latest[:] = -1
    i = 0
    for document in range(len(lengths)):
        for _ in range(lengths[document]):
            term = terms[i]
            offsets[term + 1] += latest[term] != document
            latest[term] = document
            i += 1
    for term in range(width):
        offsets[term + 1] += offsets[term]
    ends, latest[:] = offsets[:-1].copy(), -1
    owners, frequencies = np.empty(offsets[-1], np.int32), np.zeros(offsets[-1], np.int32)
    i = 0
    for document in range(len(lengths)):
        for _ in range(lengths[document]):
            term = terms[i]
            if latest[term] != document:
                latest[term] = document
                owners[ends[term]] = document
                ends[term] += 1
            frequencies[ends[term] - 1] += 1
            i += 1
    return offsets, owners, frequencies


@compiled()
def turn(
    offsets: Ints, numbers: NDArray[np.int32], frequencies: NDArray[np.int32], width: int
) -> Lists:
    """List for each number below `width` the lists that hold it, and how often."""
    turned = np.zeros(width + 1, np.int64)
    for i in range(len(numbers)):
        turned[numbers[i] + 1] += 1
    for number in range(width):
        turned[number + 1] += turned[number]
    ends = turned[:-1].copy()
    owners, turned_frequencies = np.empty_like(numbers), np.empty_like(frequencies)
    for owner in range(len(offsets) - 1):
        for i in range(offsets[owner], offsets[owner + 1]):
            place = ends[numbers[i]]
            owners[place], turned_frequencies[place] = owner, frequencies[i]
            ends[numbers[i]] = place + 1
    return turned, owners, turned_frequencies
