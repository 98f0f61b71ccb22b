"""Classify the characters of all scripts, and fold them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.inputs.identity import INVISIBLE, normalise
from hnmine.ragged import Ints

Classes = NDArray[np.uint32]
"""The class of every character and, in the low bits, the character that it folds to."""

Codes = NDArray[np.uint8] | NDArray[np.uint32]
"""Characters by their numbers in Unicode."""


BREAK, IGNORED, MARK, LETTER, BIGRAM, _SEVERAL = range(6)
"""Classes. A mark belongs to the letter before it. The low bits of `_SEVERAL` are a position in the
pool, which holds a number of characters and these characters."""

SHIFT, LOW = 21, (1 << 21) - 1

_IDEOGRAPHS = [(0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0x20000, 0x2F800)]
_IDEOGRAPHS += [(0x2FA20, 0x3FFFE)]
"""Han and Hangul that fold to themselves, with room for later versions of Unicode."""

_UNSPACED = [
    *_IDEOGRAPHS,
    *((0x3005, 0x3100), (0x31F0, 0x3200), (0xF900, 0xFB00), (0x1AFF0, 0x1B170)),  # Han and kana
    *((0x1100, 0x1200), (0xA960, 0xA980), (0xD7B0, 0xD800)),  # Hangul in parts
    *((0xE00, 0xF00), (0x1950, 0x19E0), (0x1A20, 0x1AB0), (0xAA80, 0xAAE0)),  # Thai, Lao, Tai
    *((0x1000, 0x10A0), (0xA9E0, 0xAA00), (0xAA60, 0xAA80), (0x1780, 0x1800)),  # Burmese, Khmer
]
"""Scripts without spaces, and Korean, where bigrams match words without their particles."""

_VOWEL_POINTS = [(0x591, 0x5C8), (0x610, 0x61B), (0x64B, 0x653), (0x656, 0x660), (0x670, 0x671)]
_VOWEL_POINTS += [(0x6D6, 0x6EE), (0x730, 0x74B), (0x8CA, 0x900)]
"""Marks that Hebrew, Arabic and Syriac texts mostly omit."""

_KASHIDA = "\u0640"
_TRADE_MARKS = "\u2122\u2120"
"""NFKC turns these into letters of the name before them."""


def _within(code: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= code < last for first, last in ranges)


def _class_of(letter: str) -> int:
    """Classify a folded character."""
    category = unicodedata.category(letter)
    if letter == _KASHIDA or category == "Me" or ord(letter) in INVISIBLE:
        return IGNORED
    if category in ("Mn", "Mc"):
        points = category == "Mn" and _within(ord(letter), _VOWEL_POINTS)
        return IGNORED if points else MARK
    # The vowels and final consonants of a Hangul syllable that is written in parts.
    if 0x1160 <= ord(letter) < 0x1200 or 0xD7B0 <= ord(letter) < 0xD800:
        return MARK
    if not (letter.isalnum() or letter == "_"):
        return BREAK
    return BIGRAM if _within(ord(letter), _UNSPACED) else LETTER


@cache
def _folded() -> tuple[Classes, NDArray[np.uint32]]:
    """Return the classes of all characters, and the pool."""
    classes, pool = np.zeros(0x110000, np.uint32), [0]
    for first, last in _IDEOGRAPHS:
        classes[first:last] = (BIGRAM << SHIFT) | np.arange(first, last)
    firsts, lasts = zip(*_IDEOGRAPHS, strict=True)
    for code in chain(*map(range, (0, *lasts), firsts)):
        letter = chr(code)
        changes = unicodedata.decomposition(letter) or letter.casefold() != letter
        kept = letter.isalnum() or letter == "_" or unicodedata.category(letter)[0] == "M"
        if letter in _TRADE_MARKS or not (kept or changes):
            continue
        # Between two others, as `normalise` changes spaces and marks at an end.
        folded = normalise(f".{letter}.")[1:-1] if changes else letter
        folded = "".join(str(unicodedata.decimal(part, part)) for part in folded)
        if len(folded) == 1:
            classes[code] = (_class_of(folded) << SHIFT) | ord(folded)
        elif any(_class_of(part) != BREAK for part in folded):
            classes[code] = (_SEVERAL << SHIFT) | len(pool)
            pool += [len(folded), *map(ord, folded)]
    classes[list(INVISIBLE)] = IGNORED << SHIFT
    return classes, np.array(pool, np.uint32)


@cache
def classes_of(kind: str, turkish: bool = False) -> Classes:
    """Return the classes of all characters for a kind of `tokenise.Tokeniser`.

    Args:
        kind: "auto", "word" or "whitespace".
        turkish: whether I keeps its case, which makes it another letter than i.
    """
    if kind == "whitespace":
        classes = np.arange(0x110000, dtype=np.uint32) | np.uint32(LETTER << SHIFT)
        # A lone surrogate (JSON can hold one) has no UTF-8 form, which stemmer and index need.
        classes[0xD800:0xE000] = (LETTER << SHIFT) | ord("?")
        classes[[code for code in range(0x3001) if chr(code).isspace()]] = BREAK
        return classes
    classes = _folded()[0].copy()
    if kind == "word":
        bigrams = classes >> SHIFT == BIGRAM
        classes[bigrams] = (LETTER << SHIFT) | (classes[bigrams] & LOW)
    if turkish:
        classes[ord("I")] = (LETTER << SHIFT) | ord("I")
    return classes


def codes_of(texts: Sequence[str], classes: Classes) -> tuple[Codes, Ints, Ints | None]:
    """Join texts, and replace characters that fold to several.

    Returns:
        The characters; the end of each text among them, shape (texts,); the position in the texts
        that each comes from, None if all are the same.
    """
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    joined = "".join(texts)
    if joined.isascii():
        return np.frombuffer(joined.encode(), np.uint8), ends, None
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    total = _count(codes, classes, _folded()[1])
    if total == len(codes):
        return codes, ends, None
    unfolded, origins = np.empty(total, np.uint32), np.empty(total, np.int64)
    _unfold(codes, classes, _folded()[1], unfolded, origins)
    # As the others are; what reads both is compiled once.
    unfolded.flags.writeable = False
    return unfolded, np.searchsorted(origins, ends), origins


@compiled()
def _count(codes: NDArray[np.uint32], classes: Classes, pool: NDArray[np.uint32]) -> int:
    """Count the characters after folding."""
    total = 0
    for code in codes:
        entry = classes[code]
        total += pool[entry & LOW] if entry >> SHIFT == _SEVERAL else 1
    return total


@compiled()
def _unfold(
    codes: NDArray[np.uint32],
    classes: Classes,
    pool: NDArray[np.uint32],
    unfolded: NDArray[np.uint32],
    origins: Ints,
) -> None:
    n = 0
    for i in range(len(codes)):
        entry = classes[codes[i]]
        if entry >> SHIFT == _SEVERAL:
            place = np.int64(entry & LOW)
            for j in range(place + 1, place + 1 + pool[place]):
                unfolded[n], origins[n] = pool[j], i
                n += 1
        else:
            unfolded[n], origins[n] = codes[i], i
            n += 1
