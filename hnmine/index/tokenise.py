"""Text to index terms: split into words, then stem with Snowball."""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import Stemmer
from numpy.typing import NDArray

from hnmine.errors import UsageError

KINDS = ("word", "whitespace")
_find_words = re.compile(r"\w+").findall


@dataclass(frozen=True)
class TermCounts:
    """How often each term occurs in each document of a batch.

    Document `d` owns the positions `offsets[d]:offsets[d + 1]` of `terms` and `frequencies`.

    Attributes:
        vocabulary: the distinct terms, sorted by code point.
        offsets: int64, shape (documents + 1,).
        terms: int32, shape (postings,): positions in `vocabulary`, ascending in each document.
        frequencies: int32, shape (postings,), at least 1.
        lengths: int32, shape (documents,): tokens in each document, repetitions included.
    """

    vocabulary: list[str]
    offsets: NDArray[np.int64]
    terms: NDArray[np.int32]
    frequencies: NDArray[np.int32]
    lengths: NDArray[np.int32]


@dataclass(frozen=True)
class Tokeniser:
    r"""Splits a text into terms.

    Attributes:
        kind: "word" casefolds and takes the runs of Unicode word characters (`\w+`);
            "whitespace" splits at white space and keeps the case, for text tokenised before.
        stemmer: "none", or a Snowball language of PyStemmer.

    Raises:
        UsageError: for an unknown kind or stemmer.
    """

    kind: str = "word"
    stemmer: str = "english"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(
                f"Unknown kind of tokeniser: {self.kind!r}.",
                why="A tokeniser splits either at word boundaries or at white space.",
                fix=f"Choose one of: {', '.join(KINDS)}.",
            )
        if self.stemmer != "none" and self.stemmer not in Stemmer.algorithms():
            raise UsageError(
                f"Unknown stemmer: {self.stemmer!r}.",
                why="Stemming is done by PyStemmer, which has no Snowball algorithm of that name.",
                fix=f"Choose one of: none, {', '.join(Stemmer.algorithms())}.",
            )

    def __call__(self, text: str) -> list[str]:
        """Split one text into terms, in the order of the text."""
        return self._stem(self._split(text))

    def count(self, texts: Iterable[str]) -> TermCounts:
        """Count the terms of every text; each distinct word of the batch is stemmed once."""
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        # A flat array of word numbers costs 4 bytes a token; a Counter per text costs hundreds.
        flat, ends = array("i"), array("q", [0])
        for text in texts:
            flat.extend(map(numbers.__getitem__, self._split(text)))
            ends.append(len(flat))
        stems = self._stem(list(numbers))
        vocabulary = sorted(set(stems))
        place = {term: number for number, term in enumerate(vocabulary)}
        term_of_word = np.array([place[stem] for stem in stems], dtype=np.int64)
        lengths: NDArray[np.int64] = np.diff(np.asarray(ends))
        return _count(vocabulary, term_of_word[np.asarray(flat)], lengths)

    def _split(self, text: str) -> list[str]:
        if self.kind == "word":
            return _find_words(text.casefold())
        # A lone surrogate (JSON can hold one) has no UTF-8 form, which stemmer and index need.
        return text.encode("utf-8", "replace").decode("utf-8").split()

    def _stem(self, words: list[str]) -> list[str]:
        if self.stemmer == "none":
            return words
        # Made anew each time: under a microsecond, and a stemmer must not be shared by threads.
        return list(Stemmer.Stemmer(self.stemmer).stemWords(words))


def _count(
    vocabulary: list[str], terms: NDArray[np.int64], lengths: NDArray[np.int64]
) -> TermCounts:
    """Count by sorting the keys (document, term); `terms` lists the tokens of all documents."""
    width = max(len(vocabulary), 1)
    keys, frequencies = np.unique(
        np.repeat(np.arange(len(lengths)), lengths) * width + terms, return_counts=True
    )
    return TermCounts(
        vocabulary,
        np.searchsorted(keys, np.arange(len(lengths) + 1) * width).astype(np.int64),
        (keys % width).astype(np.int32),
        frequencies.astype(np.int32),
        lengths.astype(np.int32),
    )
