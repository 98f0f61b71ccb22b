"""Text to index terms: split into words, then stem with Snowball."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import Stemmer
from numpy.typing import NDArray

from hnmine.errors import UsageError
from hnmine.index.counting import count_owners, turn
from hnmine.index.words import Words

KINDS = ("word", "whitespace")
_find_words = re.compile(r"\w+").findall
_TEXTS_A_BATCH = 1024


def _letters(kind: str) -> NDArray[np.int16]:
    """What each byte of a text becomes in a word, -1 if it separates words; kinds of `Tokeniser`.

    Bytes from 128 up are parts of other letters, which `Tokeniser._batches` has already split.
    """
    letters = np.arange(256, dtype=np.int16)
    for code in range(128):
        letter = chr(code)
        if kind == "word":
            letters[code] = ord(letter.lower()) if _find_words(letter) else -1
        elif not letter.split():
            letters[code] = -1
    return letters


_LETTERS = {kind: _letters(kind) for kind in KINDS}


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

    def number(
        self, texts: Iterable[str]
    ) -> tuple[list[str], NDArray[np.int32], NDArray[np.int32]]:
        """Split all texts into terms; each distinct word is stemmed once.

        Returns:
            The distinct terms, sorted by code point; for every token, text after text, its
            position among them, shape (tokens,); how many tokens each text has, shape (texts,).
        """
        words = Words(_LETTERS[self.kind])
        split = [words.add(data, ends) for data, ends in self._batches(texts)]
        stems = self._stem(words.list())
        vocabulary = sorted(set(stems))
        place = {term: number for number, term in enumerate(vocabulary)}
        term_of_word = np.array([place[stem] for stem in stems], dtype=np.int32)
        none = np.zeros(0, np.int32)
        tokens = np.concatenate([none, *(tokens for tokens, _ in split)])
        return vocabulary, term_of_word[tokens], np.concatenate([none, *(n for _, n in split)])

    def count(self, texts: Iterable[str]) -> TermCounts:
        """Count the terms of every text."""
        vocabulary, terms, lengths = self.number(texts)
        # Turned round twice, so that the terms of each document ascend.
        owners = count_owners(lengths, terms, len(vocabulary))
        offsets, numbers, frequencies = turn(*owners, len(lengths))
        return TermCounts(vocabulary, offsets, numbers, frequencies, lengths)

    def _batches(
        self, texts: Iterable[str]
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Join texts to blocks of bytes that the compiled splitter splits as `_split` would."""
        rest = iter(texts)
        while batch := list(islice(rest, _TEXTS_A_BATCH)):
            # Compiled code knows the classes of ASCII letters alone. In other texts, Python finds
            # the words, and only the spaces between them are left to be found.
            parts = [
                (text if text.isascii() else " ".join(self._split(text))).encode() for text in batch
            ]
            ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
            yield np.frombuffer(b"".join(parts), np.uint8), ends

    def _split(self, text: str) -> list[str]:
        if self.kind == "word":
            return _find_words(text.casefold())
        # A lone surrogate (JSON can hold one) has no UTF-8 form, which stemmer and index need.
        return text.encode("utf-8", "replace").decode("utf-8").split()

    def _stem(self, words: list[str]) -> list[str]:
        if self.stemmer == "none":
            return words
        # Made anew each time: under a microsecond, and a stemmer must not be shared by threads. Its
        # cache would only cost time, for words that are distinct.
        return list(Stemmer.Stemmer(self.stemmer, 0).stemWords(words))
