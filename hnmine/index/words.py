"""Words of texts in UTF-8, numbered in the order in which they are first seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled

_FNV_START, _FNV_FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_UPPER = np.uint64(0xFFFFFFFF00000000)
_LINE_BREAK = ord("\n")


class Words:
    """A growing list of distinct words, and a hash table to find them in (open addressing)."""

    def __init__(self, letter_of: NDArray[np.int16]) -> None:
        """Start without words.

        Args:
            letter_of: what each byte of a text becomes in a word, -1 if it separates words, as a
                line break has to, shape (256,).
        """
        self._letter_of = letter_of
        # One more than the number of the word at each slot, below half of the word's hash, so that
        # other words are told apart without another look into memory; 0 where there is none.
        self._slots = np.zeros(1 << 12, np.uint64)
        # The hash of each word, where its bytes start, and all bytes, a line break after each word.
        self._hashes = np.empty(1 << 11, np.uint64)
        self._starts = np.zeros((1 << 11) + 1, np.int64)
        self._letters = np.empty(1 << 14, np.uint8)
        self._count = 0

    def add(
        self, data: NDArray[np.uint8], ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Split texts into words.

        Args:
            data: the bytes of all texts.
            ends: where each text ends, shape (texts,).

        Returns:
            The number of each word, shape (tokens,), and how many words each text has, shape
            (texts,).
        """
        tokens = np.empty(len(data) // 2 + len(ends), np.int32)
        lengths = np.empty(len(ends), np.int32)
        text = n = 0
        while True:
            text, n, self._count = _number(
                data, ends, self._letter_of, self._slots, self._hashes, self._starts, self._letters,
                text, n, self._count, tokens, lengths,
            )  # fmt: skip
            if text == len(ends):
                return tokens[:n].copy(), lengths
            self._enlarge(int(ends[text] - (ends[text - 1] if text else 0)))

    def list(self) -> list[str]:
        """Return the words in the order of their numbers."""
        return self._letters[: self._starts[self._count]].tobytes().decode().split("\n")[:-1]

    def _enlarge(self, size: int) -> None:
        """Make room for the words of a text of so many bytes."""
        words = 2 * (self._count + size)
        self._hashes = np.resize(self._hashes, words)
        self._starts = np.resize(self._starts, words + 1)
        self._letters = np.resize(self._letters, 2 * (len(self._letters) + size))
        # A power of two, and at most half full.
        self._slots = np.zeros(1 << (2 * words).bit_length(), np.uint64)
        _fill(self._hashes, self._count, self._slots)


@compiled()
def _slot_of(value: int, slots: int) -> np.uint64:
    # The low bits of a product depend on the low bits of its factors alone.
    return (np.uint64(value) ^ (np.uint64(value) >> np.uint64(32))) & np.uint64(slots - 1)


@compiled()
def _fill(hashes: NDArray[np.uint64], count: int, slots: NDArray[np.uint64]) -> None:
    mask = np.uint64(len(slots) - 1)
    for word in range(count):
        slot = _slot_of(hashes[word], len(slots))
        while slots[slot] > 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = (hashes[word] & _UPPER) | np.uint64(word + 1)


@compiled()
def _find(
    value: np.uint64,
    start: np.uint64,
    last: np.uint64,
    slots: NDArray[np.uint64],
    starts: NDArray[np.int64],
    letters: NDArray[np.uint8],
) -> np.uint64:
    """Find the slot of the word at `letters[start:last]`, or the free one where it belongs."""
    one, mask = np.uint64(1), np.uint64(len(slots) - 1)
    slot = _slot_of(value, len(slots))
    while slots[slot] > 0:
        if (slots[slot] ^ value) & _UPPER == 0:
            # The bytes of both, with the line break after them.
            own, i = np.uint64(starts[(slots[slot] & ~_UPPER) - one]), start
            while i < last and letters[own] == letters[i]:
                own += one
                i += one
            if i == last:
                break
        slot = (slot + one) & mask
    return slot


@compiled()
def _number(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    letter_of: NDArray[np.int16],
    slots: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    letters: NDArray[np.uint8],
    text: int,
    n: int,
    count: int,
    tokens: NDArray[np.int32],
    lengths: NDArray[np.int32],
) -> tuple[int, int, int]:
    """Number the words from `text` on, as far as there is surely room for those of a whole text.

    A word is written after the last one of the list, and stays there if it is new.

    Returns:
        The text to go on with, and how many tokens and words there are.
    """
    # Unsigned subscripts spare tests for negative ones.
    one = np.uint64(1)
    i = np.uint64(ends[text - 1] if text else 0)
    free = np.uint64(starts[count])
    while text < len(ends):
        end, before = np.uint64(ends[text]), n
        room = np.int64(end - i) + 1
        if count + room > len(hashes) or np.int64(free) + room > len(letters):
            break
        while i < end:
            value, last = _FNV_START, free
            while i < end:
                letter = letter_of[data[i]]
                i += one
                if letter < 0:
                    break
                letters[last] = letter
                last += one
                value = (value ^ np.uint64(letter)) * _FNV_FACTOR
            if last == free:
                continue
            letters[last] = _LINE_BREAK
            last += one
            slot = _find(value, free, last, slots, starts, letters)
            if slots[slot] == 0:
                hashes[count], starts[count + 1], free = value, last, last
                count += 1
                slots[slot] = (value & _UPPER) | np.uint64(count)
            tokens[n] = np.int64(slots[slot] & ~_UPPER) - 1
            n += 1
        lengths[text] = n - before
        text += 1
    return text, n, count
