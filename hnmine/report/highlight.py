"""Which words of a document are words of the query, as BM25 sees them."""

from __future__ import annotations

import numpy as np

from hnmine.directories.mined import Mined
from hnmine.index.tokenise import Tokeniser
from hnmine.printable import clean
from hnmine.sources.bm25 import recorded_settings

SAMPLE, READ = 500, 1 << 14
"""Documents that are read to find common terms, and the characters read of each."""

COMMON = 0.1
"""Terms in a larger share of the documents are not marked."""


class Matcher:
    """Finds the words of a query in a text.

    Args:
        tokeniser: splits texts and stems words; words match by their stems.
        common: terms that are not marked.
    """

    def __init__(self, tokeniser: Tokeniser, common: frozenset[str] = frozenset()) -> None:
        self._tokeniser, self._common = tokeniser, common

    @classmethod
    def of(cls, mined: Mined) -> Matcher:
        """Return a matcher with the index's tokeniser and without its common terms."""
        if mined.texts is None:
            return cls(Tokeniser())
        index = mined.texts.index
        tokeniser = recorded_settings(index).tokeniser
        rows = np.unique(np.linspace(0, len(index.documents) - 1, SAMPLE).astype(np.int64))
        texts = (text for row in rows[:, None] for text in index.documents.texts(row))
        counts = tokeniser.count(text[:READ] for text in texts)
        held = np.bincount(counts.terms, minlength=len(counts.vocabulary))
        # A term of one document is not common, however small the corpus.
        common = np.flatnonzero(held > max(COMMON * len(rows), 1))
        return cls(tokeniser, frozenset(counts.vocabulary[term] for term in common))

    def split(self, text: str | None, query: str | None) -> list[tuple[str, bool]]:
        """Cut a text into pieces, each with whether it is a word of the query."""
        text = clean(text or "")
        wanted = set(self._tokeniser(query or "")) - self._common
        pieces: list[tuple[str, bool]] = []
        end = 0
        for first, last, term in self._tokeniser.spans(text):
            if term not in wanted:
                continue
            if first < end:  # Neighbouring bigrams share a character.
                pieces[-1] = (pieces[-1][0] + text[end:last], True)
            else:
                pieces += [(text[end:first], False), (text[first:last], True)]
            end = max(end, last)
        return [piece for piece in [*pieces, (text[end:], False)] if piece[0]]
