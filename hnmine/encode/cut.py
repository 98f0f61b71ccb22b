"""Cut texts far beyond a model's limit before tokenising, without changing the result.

A tokeniser takes many times the memory of a text. The start of the text is enough if its tokens
reach the limit, and if no text after them could change them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

from hnmine.encode.batching import CHARACTERS
from hnmine.encode.boundaries import Boundaries, boundaries_of

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from tokenizers import Tokenizer

CutText = Callable[[str, int, str | None], tuple[str, bool]]


class Cutter:
    """Cuts texts for one tokeniser."""

    def __init__(self, tokenizer: Tokenizer | None) -> None:
        """Take a tokeniser of the package tokenizers; None: no text is cut."""
        self._tokenizer = copy.deepcopy(tokenizer)
        if self._tokenizer:
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()

    @cached_property
    def _boundaries(self) -> Boundaries | None:
        return None if self._tokenizer is None else boundaries_of(self._tokenizer)

    def cut(self, text: str, limit: int, lead: str | None = "") -> str:
        """Return a text, or as much of it as gives the same first `limit` tokens.

        `lead` is the prompt before the text; None: unknown.
        """
        return self._cut(text, limit, lead)[0]

    def pairs(
        self, queries: Sequence[str], documents: Sequence[str], limit: int, lead: str | None = ""
    ) -> list[tuple[str, str]]:
        """Return pairs, each text cut so that the pair gives the same first `limit` tokens.

        A tokeniser shortens the longer text. `lead` is the prompt before a query; None: unknown.
        """
        pairs = list(zip(queries, documents, strict=True))
        if not any(len(text) > CHARACTERS * limit for pair in pairs for text in pair):
            return pairs
        cut, count = cache(self._cut), cache(self._count)
        return [_cut_pair(pair, limit, lead, cut, count) for pair in pairs]

    def _cut(self, text: str, limit: int, lead: str | None) -> tuple[str, bool]:
        """Return a text or its start, and whether it keeps all of its tokens."""
        size = CHARACTERS * limit
        if len(text) <= size or self._boundaries is None:
            return text, True
        while True:
            end, window = self._end(text, size)
            kept = self._without_long_words(text[:end])
            if end == len(text):
                return kept, True
            if self._settled(kept, window, lead) >= limit:
                return kept, False
            size = 2 * end

    def _end(self, text: str, size: int) -> tuple[int, int]:
        """Return a place after `size` characters to cut a text, and the window before it."""
        assert self._boundaries
        between = self._boundaries.between
        if found := between.search(text, size, 2 * size):
            return found.start(), 0
        for run, window in self._boundaries.runs:
            if found := run.search(text, size, 2 * size):
                return found.end() - 1, window
        found = between.search(text, 2 * size)
        return (found.start() if found else len(text)), 0

    def _without_long_words(self, text: str) -> str:
        assert self._boundaries
        word = self._boundaries.word
        return word.sub(r"\1", text) if word else text

    def _settled(self, text: str, window: int, lead: str | None) -> int:
        """Count the tokens that text before and after cannot change."""
        assert self._boundaries
        unsettled = 0
        if lead is None:
            start = self._boundaries.between.search(text)
            if start is None:
                return 0
            unsettled = len(self._tokens([text[: start.start()]])[0])
        whole = (lead or "") + text
        # A token begins at one of these places, whatever follows, and the tokens up to it are those
        # of the text that ends there.
        tokens = self._tokens([whole[: len(whole) - back] for back in range(window + 1)])
        settled = min(map(len, tokens))
        for other in tokens[1:]:
            alike = zip(tokens[0], other, strict=False)
            settled = min(settled, next((n for n, (a, b) in enumerate(alike) if a != b), settled))
        return settled - unsettled

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        # A lone surrogate (JSON can hold one) has no UTF-8 form.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        assert self._tokenizer
        encodings = self._tokenizer.encode_batch_fast(clean, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _count(self, text: str) -> int:
        return len(self._tokens([text])[0])


def _cut_pair(
    pair: tuple[str, str], limit: int, lead: str | None, cut: CutText, count: Callable[[str], int]
) -> tuple[str, str]:
    """Cut a pair so that the longer text, in tokens, stays the longer.

    Where both lose tokens and the limit is odd, it keeps one more.
    """
    while True:
        query, query_is_whole = cut(pair[0], limit, lead)
        document, document_is_whole = cut(pair[1], limit, lead if lead is None else "")
        if query_is_whole and document_is_whole:
            return query, document
        if not (query_is_whole or document_is_whole):
            if lead is None:
                return query, document
            limit *= 2
            continue
        # With an unknown prompt the two are one text, and only its first tokens matter.
        most = 0 if lead is None else count(lead + query if query_is_whole else document)
        if most < limit:
            return query, document
        limit = most + 1


def cutter_of(model: CrossEncoder | SentenceTransformer) -> Cutter:
    """Return the cutter for a model of sentence-transformers; it cuts nothing if unknown."""
    plain = is_plain(model) and getattr(model.tokenizer, "truncation_side", "") == "right"
    return Cutter(getattr(model.tokenizer, "backend_tokenizer", None) if plain else None)


def is_plain(model: CrossEncoder | SentenceTransformer) -> bool:
    """Tell whether a model takes what its tokeniser makes of a text, without options."""
    from sentence_transformers.base.modules import Router, Transformer

    module = next(iter(model), None)
    return (
        module is not None
        and not any(isinstance(one, Router) for one in model)
        and not any((model.module_kwargs or {}).values())
        and type(module) is Transformer
        and module.query_length is None
        and module.document_length is None
        and module.query_expansion is None
        and not module.processing_kwargs
    )


def lead_of(
    model: CrossEncoder | SentenceTransformer, prompt: str | None, names: Sequence[str] = ()
) -> str | None:
    """Return the prompt of a model of sentence-transformers before a text; None: unknown.

    Without a `prompt`, the model takes the first of `names` in its configuration, or its default.
    """
    if "message" in getattr(next(iter(model), None), "modality_config", ()):
        return None
    if prompt is None:
        names = [*names, *[model.default_prompt_name] * (model.default_prompt_name is not None)]
        prompt = next((model.prompts[name] for name in names if name in model.prompts), None)
    return prompt or ""
