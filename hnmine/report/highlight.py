"""Which words of a document are words of the query, as BM25 sees them."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from hnmine.index.tokenise import Tokeniser
from hnmine.report.scored import Scored, clean

SAMPLE = 500
COMMON = 0.1
"""A term in a larger share of the documents says nothing about a match."""


class Matcher:
    """Finds the words of a query in a text.

    Args:
        tokeniser: what makes two words the same.
        common: terms that are left out.
    """

    def __init__(self, tokeniser: Tokeniser, common: frozenset[str] = frozenset()) -> None:
        self._tokeniser, self._common = tokeniser, common
        self._words = re.compile(r"\w+" if tokeniser.kind == "word" else r"\S+")

    @classmethod
    def of(cls, scored: Scored) -> Matcher:
        """Match as the index does, without the terms that are in many of its documents."""
        if scored.texts is None:
            return cls(Tokeniser())
        index = scored.texts.index
        tokeniser = Tokeniser(index.settings["tokenizer"], index.settings["stemmer"])
        rows = np.unique(np.linspace(0, len(index.documents) - 1, SAMPLE).astype(np.int64))
        held = Counter(
            term for text in index.documents.texts(rows) for term in set(tokeniser(text))
        )
        # A term of one document is not common, however small the corpus.
        most = max(COMMON * len(rows), 1)
        return cls(tokeniser, frozenset(term for term, count in held.items() if count > most))

    def split(self, text: str | None, query: str | None) -> list[tuple[str, bool]]:
        """Cut a text into pieces, each with whether it is a word of the query.

        Args:
            text: of a document; None is no text.
            query: text of the query.
        """
        text = clean(text or "")
        wanted = set(self._tokeniser(query or "")) - self._common
        pieces: list[tuple[str, bool]] = []
        end = 0
        for word in self._words.finditer(text):
            if wanted.intersection(self._tokeniser(word.group())):
                pieces += [(text[end : word.start()], False), (word.group(), True)]
                end = word.end()
        return [piece for piece in [*pieces, (text[end:], False)] if piece[0]]
