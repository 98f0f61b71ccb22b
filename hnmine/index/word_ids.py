"""Number the words of texts in the order of first occurrence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import Value
from hnmine.compiled import compiled
from hnmine.index.scripts import BIGRAM, BREAK, IGNORED, LETTER, LOW, MARK, SHIFT, Classes, Codes
from hnmine.ragged import Ints

_FNV_START, _FNV_FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_UPPER = np.uint64(0xFFFFFFFF00000000)
# Unsigned numbers spare tests for negative subscripts.
_NONE, _ONE, _SHIFT, _LOW = np.uint64(0), np.uint64(1), np.uint64(SHIFT), np.uint64(LOW)
_FIRST_LETTER = np.uint64(LETTER << SHIFT)
_LINE_BREAK = ord("\n")
_SHORT, _MOST_KEPT = 3, 1 << 15
"""Characters of 21 bits each that fit in a number, and the size of the cache of bigrams of two
units as short as that."""


class Words:
    """A growing list of distinct words, with a hash table (open addressing)."""

    def __init__(self, classes: Classes) -> None:
        """Start without words; `classes` are of `scripts.classes_of`."""
        self._classes = classes
        # The hash of each word, where it starts among the characters, and these, a line break
        # after each word.
        self.hashes = np.empty(0, np.uint64)
        self._starts = np.zeros(1, np.int64)
        self._letters = np.empty(0, np.uint32)
        self._count = 0
        self._enlarge()

    def add(
        self, codes: Codes, ends: Ints, spans: Ints | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Split texts into words.

        Args:
            codes: the characters of all texts, of `scripts.codes_of`.
            ends: where each text ends, shape (texts,).
            spans: gets where each word starts and ends, shape (characters, 2).

        Returns:
            The number of each word, shape (tokens,), and how many words each text has, shape
            (texts,).
        """
        tokens, lengths = np.empty(len(codes), np.int32), np.zeros(len(ends), np.int32)
        places = np.empty((0, 2), np.int64) if spans is None else spans
        # All words may be new, and of every character a bigram begins.
        used, most = self._starts[self._count], 3 * len(codes) + 1
        if used + most > len(self._letters):
            self._letters = _longer(self._letters, 2 * used + most)
        text = n = 0
        i, covered = np.uint64(0), np.uint64(len(codes))
        while text < len(ends):
            # Numba returns Python's numbers, and would compile for signed ones once more.
            text, i, n, covered, self._count = _number(
                codes, ends, self._classes, self._slots, self.hashes, self._starts, self._letters,
                self._short, text, np.uint64(i), n, np.uint64(covered), self._count, tokens,
                lengths, places,
            )  # fmt: skip
            if text < len(ends):
                self._enlarge()
        return tokens[:n] if 2 * n > len(tokens) else tokens[:n].copy(), lengths

    def list(self) -> list[str]:
        """Return the words in the order of their numbers."""
        letters = self._letters[: self._starts[self._count]].astype("<u4", copy=False)
        return letters.tobytes().decode("utf-32-le").split("\n")[:-1]

    def _enlarge(self) -> None:
        """Double the room for words."""
        words = 2 * len(self.hashes) or 1 << 8
        self.hashes = _longer(self.hashes, words)
        self._starts = _longer(self._starts, words + 1)
        # Each slot holds half of a word's hash and the word's number + 1, which tells words apart
        # without another memory access; at least half of the slots are 0.
        self._slots = np.zeros(2 * words, np.uint64)
        _fill(self.hashes, self._count, self._slots)
        # The units of short bigrams as numbers, and the number of the word.
        self._short = np.zeros((min(8 * words, _MOST_KEPT), 3), np.uint64)


def _longer(values: NDArray[Value], length: int) -> NDArray[Value]:
    longer = np.empty(length, values.dtype)
    longer[: len(values)] = values
    return longer


@compiled()
def _slot_of(value: int, slots: int) -> np.uint64:
    # The low bits of a short word's hash come from few bits of its characters.
    return (np.uint64(value) * _GOLDEN >> np.uint64(32)) & np.uint64(slots - 1)


@compiled()
def _fill(hashes: NDArray[np.uint64], count: int, slots: NDArray[np.uint64]) -> None:
    mask = np.uint64(len(slots) - 1)
    for word in range(count):
        slot = _slot_of(hashes[word], len(slots))
        while slots[slot] > 0:
            slot = (slot + _ONE) & mask
        slots[slot] = (hashes[word] & _UPPER) | np.uint64(word + 1)


@compiled(inline="always")
def _enter(
    value: np.uint64,
    stop: np.uint64,
    slots: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
    starts: Ints,
    letters: NDArray[np.uint32],
    count: int,
) -> np.int64:
    """Return the number of the word written after the last one, which is `count` if it is new."""
    letters[stop] = _LINE_BREAK
    first, last, mask = np.uint64(starts[count]), stop + _ONE, np.uint64(len(slots) - 1)
    slot = _slot_of(value, len(slots))
    while slots[slot] > 0:
        if (slots[slot] ^ value) & _UPPER == 0:
            # The characters of both, with the line break after them.
            own, i = np.uint64(starts[(slots[slot] & ~_UPPER) - _ONE]), first
            while i < last and letters[own] == letters[i]:
                own += _ONE
                i += _ONE
            if i == last:
                break
        slot = (slot + _ONE) & mask
    if slots[slot] == 0:
        hashes[count], starts[count + 1] = value, last
        slots[slot] = (value & _UPPER) | np.uint64(count + 1)
    return np.int64(slots[slot] & ~_UPPER) - np.int64(1)


@compiled(inline="always")
def _unit(
    codes: Codes, classes: Classes, i: np.uint64, end: np.uint64, entry: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Take the character at `i`, whose class is `entry`, with its marks.

    Returns:
        Where they end, all as a number, 0 if they are too many, and the class of what follows.
    """
    key, first = _ONE << _SHIFT | entry & _LOW, i
    while True:
        i += _ONE
        entry = np.uint64(classes[codes[i]]) if i < end else _NONE
        if entry >> _SHIFT != MARK and entry >> _SHIFT != IGNORED:
            break
        key = key << _SHIFT | entry & _LOW
    return i, key if i - first <= np.uint64(_SHORT) else _NONE, entry


@compiled(inline="always")
def _pairs(
    codes: Codes,
    end: np.uint64,
    classes: Classes,
    slots: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
    starts: Ints,
    letters: NDArray[np.uint32],
    short: NDArray[np.uint64],
    i: np.uint64,
    n: int,
    covered: np.uint64,
    count: int,
    tokens: NDArray[np.int32],
    spans: Ints,
) -> tuple[np.uint64, int, np.uint64, int]:
    """Number the bigrams from `i` on, as `_number` does, or the one unit if it has no neighbour."""
    last, unit, entry = _unit(codes, classes, i, end, np.uint64(classes[codes[i]]))
    while count < len(hashes):
        first, i, key = i, last, unit
        follows = entry >> _SHIFT == BIGRAM
        if follows:
            last, unit, entry = _unit(codes, classes, i, end, entry)
        elif first == covered:
            break
        else:
            unit = _NONE
        place = _slot_of(key * _FNV_FACTOR ^ unit, len(short))
        if short[place, 0] == key and short[place, 1] == unit and key > 0:
            word = np.int64(short[place, 2])
        else:
            value, stop = _FNV_START, np.uint64(starts[count])
            for j in range(first, last):
                letter = np.uint64(classes[codes[j]])
                if letter >> _SHIFT != IGNORED:
                    letters[stop] = letter & _LOW
                    value = (value ^ (letter & _LOW)) * _FNV_FACTOR
                    stop += _ONE
            word = _enter(value, stop, slots, hashes, starts, letters, count)
            count += word == count
            if key > 0 and (unit > 0 or not follows):
                short[place, 0], short[place, 1], short[place, 2] = key, unit, word
        if len(spans):
            spans[n, 0], spans[n, 1] = first, last
        tokens[n] = word
        n += 1
        if not follows:
            break
        covered = i
    return i, n, covered, count


@compiled()
def _number(
    codes: Codes,
    ends: Ints,
    classes: Classes,
    slots: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
    starts: Ints,
    letters: NDArray[np.uint32],
    short: NDArray[np.uint64],
    text: int,
    i: np.uint64,
    n: int,
    covered: np.uint64,
    count: int,
    tokens: NDArray[np.int32],
    lengths: NDArray[np.int32],
    spans: Ints,
) -> tuple[int, np.uint64, int, np.uint64, int]:
    """Number the words from the character `i` on, as far as there is room for new ones.

    A word is written after the last one of the list, and stays there if it is new.

    Returns:
        The text and the character to continue with, how many tokens there are, where the second
        unit of the last bigram begins, and how many words there are.
    """
    while text < len(ends) and count < len(hashes):
        end, before = np.uint64(ends[text]), n
        while i < end and count < len(hashes):
            kind = classes[codes[i]] >> SHIFT
            if kind < LETTER:
                i += _ONE
            elif kind == BIGRAM:
                i, n, covered, count = _pairs(
                    codes, end, classes, slots, hashes, starts, letters, short,
                    i, n, covered, count, tokens, spans,
                )  # fmt: skip
            else:
                first, value, stop = i, _FNV_START, np.uint64(starts[count])
                while i < end:
                    letter = np.uint64(classes[codes[i]]) - _FIRST_LETTER
                    if letter > _LOW:
                        letter += _FIRST_LETTER
                        if letter >> _SHIFT == BREAK or letter >> _SHIFT == BIGRAM:
                            break
                        if letter >> _SHIFT == IGNORED:
                            i += _ONE
                            continue
                        letter &= _LOW
                    letters[stop] = letter
                    value = (value ^ letter) * _FNV_FACTOR
                    stop += _ONE
                    i += _ONE
                word = _enter(value, stop, slots, hashes, starts, letters, count)
                count += word == count
                if len(spans):
                    spans[n, 0], spans[n, 1] = first, i
                tokens[n] = word
                n += 1
        lengths[text] += n - before
        text += i == end
    return text, i, n, covered, count
