"""Split texts into words, and stem them with Snowball."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import Stemmer
from numpy.typing import NDArray

from hnmine.errors import UsageError
from hnmine.index.csr_transpose import count_owners, turn
from hnmine.index.scripts import Classes, classes_of, codes_of
from hnmine.index.word_ids import Words
from hnmine.ragged import Ints, grouped, offsets_of, ragged

KINDS = ("auto", "word", "whitespace")
_TEXTS_A_BATCH, _LETTERS_A_BATCH = 1024, 1 << 18


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
    offsets: Ints
    terms: NDArray[np.int32]
    frequencies: NDArray[np.int32]
    lengths: NDArray[np.int32]


@dataclass(frozen=True)
class Tokeniser:
    r"""Splits a text into terms.

    Attributes:
        kind: "word" takes runs of letters, digits and their marks, folded by NFKC and case; "auto"
            also takes bigrams in scripts without spaces and in Hangul; "whitespace" splits at white
            space and keeps the case, for tokenised text.
        stemmer: "none", or a Snowball language of PyStemmer.
        unicode: version of Unicode that defines letters: that of this Python, or "" for an index
            that does not record it, whose words are the runs of `\w` in casefolded text.

    Raises:
        UsageError: for an unknown kind or stemmer.
    """

    kind: str = "auto"
    stemmer: str = "english"
    unicode: str = unicodedata.unidata_version

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(
                f"Unknown kind of tokeniser: {self.kind!r}.",
                why="A tokeniser splits by script, at word boundaries or at white space.",
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
        words, tokens, _ = self.split([text])
        terms = self._terms(words.list())
        return [terms[token] for token in tokens]

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """Return start, end and term of each term, in the order of the text."""
        if self._prepare(text) != text:
            words_of_text = re.finditer(r"\w+", text)
            return [(*word.span(), term) for word in words_of_text for term in self(word.group())]
        words = Words(self._classes)
        codes, ends, origins = codes_of([text], self._classes)
        spans = np.empty((len(codes), 2), np.int64)
        tokens, _ = words.add(codes, ends, spans)
        spans = spans[: len(tokens)]
        if origins is not None:
            spans = np.column_stack((origins[spans[:, 0]], origins[spans[:, 1] - 1] + 1))
        terms = self._terms(words.list())
        return [(*place, terms[token]) for place, token in zip(spans.tolist(), tokens, strict=True)]

    def split(self, texts: Iterable[str]) -> tuple[Words, NDArray[np.int32], NDArray[np.int32]]:
        """Split all texts into words, not yet stemmed.

        Returns:
            The distinct words; for every token, text after text, the number of its word, shape
            (tokens,); how many tokens each text has, shape (texts,).
        """
        words, none = Words(self._classes), np.zeros(0, np.int32)
        batches = grouped(map(self._prepare, texts), len, _TEXTS_A_BATCH, _LETTERS_A_BATCH)
        split = [self._add(words, batch) for batch in batches]
        tokens = np.concatenate([none, *(tokens for tokens, _ in split)])
        return words, tokens, np.concatenate([none, *(lengths for _, lengths in split)])

    def number(
        self, texts: Iterable[str]
    ) -> tuple[list[str], NDArray[np.int32], NDArray[np.int32]]:
        """Split all texts into terms; each distinct word is stemmed once.

        Returns:
            The distinct terms, sorted by code point; for every token, text after text, its
            position among them, shape (tokens,); how many tokens each text has, shape (texts,).
        """
        words, tokens, lengths = self.split(texts)
        stems = pa.array(self._terms(words.list()), pa.large_string()).dictionary_encode()
        order = pc.sort_indices(stems.dictionary).to_numpy()
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        term_of_word, vocabulary = place[stems.indices], stems.dictionary.take(order).to_pylist()
        # In place, to save an array as long as the texts.
        return vocabulary, term_of_word.take(tokens, out=tokens, mode="clip"), lengths

    def count(self, texts: Iterable[str]) -> TermCounts:
        """Count the terms of every text."""
        vocabulary, terms, lengths = self.number(texts)
        # Transposed twice, so that the terms of each document ascend.
        owners = count_owners(lengths, terms, len(vocabulary))
        offsets, numbers, frequencies = turn(*owners, len(lengths))
        return TermCounts(vocabulary, offsets, numbers, frequencies, lengths)

    @property
    def _folds(self) -> bool:
        return self.kind != "whitespace" and self.unicode != ""

    @property
    def _turkish(self) -> bool:
        return self._folds and self.stemmer == "turkish"

    @property
    def _classes(self) -> Classes:
        return classes_of(self.kind if self._folds else "whitespace", self._turkish)

    def _prepare(self, text: str) -> str:
        if self._folds or self.kind == "whitespace":
            return text
        return " ".join(re.findall(r"\w+", text.casefold()))

    def _add(self, words: Words, texts: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Split texts; ASCII texts first, which take a quarter of the memory and time."""
        plain = np.array([text.isascii() for text in texts])
        groups = [rows for rows in (np.flatnonzero(plain), np.flatnonzero(~plain)) if len(rows)]
        parts = []
        for rows in groups:
            codes, ends, _ = codes_of([texts[row] for row in rows], self._classes)
            parts.append(words.add(codes, ends))
        if len(parts) == 1:
            return parts[0]
        tokens, lengths = (np.concatenate(both) for both in zip(*parts, strict=True))
        place = np.argsort(np.concatenate(groups))
        return tokens[ragged(offsets_of(lengths)[place], lengths[place])], lengths[place]

    def _terms(self, words: list[str]) -> list[str]:
        """Compose the characters of words, and stem."""
        if not self._folds:
            return self._stem(words)
        settled = [word if word.isascii() else _compose(word) for word in words]
        if self._turkish:
            settled = [word.replace("İ", "i").replace("I", "\u0131").casefold() for word in settled]
        stems = self._stem(settled)
        # Terms do not tell i with a dot from i without: in other languages, I stands for both.
        return [stem if stem.isascii() else stem.replace("\u0131", "i") for stem in stems]

    def _stem(self, words: list[str]) -> list[str]:
        if self.stemmer == "none":
            return words
        # A new one takes under a microsecond, and threads must not share one. Its cache would only
        # cost time, as words are distinct.
        return list(Stemmer.Stemmer(self.stemmer, 0).stemWords(words))


def _compose(word: str) -> str:
    word = unicodedata.normalize("NFC", word)
    if "\u0307" in word:
        # From a Turkish İ.
        word = unicodedata.normalize("NFC", word.replace("i\u0307", "i"))
    return word
