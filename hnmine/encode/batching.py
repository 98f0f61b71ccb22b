"""Group texts of similar length into batches by their tokens."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hnmine.errors import is_out_of_memory
from hnmine.ragged import Ints
from hnmine.runner import incidents

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Result = TypeVar("Result")

TEXTS_AT_ONCE = 1024
"""The output of a tokeniser takes many times the memory of the texts."""

CHARACTERS = 8
"""A text with more characters for each token of the limit counts as one that reaches it."""


class TokenCounter:
    """Counts the tokens of texts without special tokens.

    It copies the model's tokeniser, whose truncation and padding must not change while threads use
    it. For slow tokenisers and those of static models, 4 bytes count as a token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = copy.deepcopy(getattr(tokenizer, "backend_tokenizer", None))
        if self._tokenizer:
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()

    def count(self, texts: Sequence[str], limit: int) -> Ints:
        """Return the number of tokens of each text, shape (texts,), at most `limit`."""
        counts = np.full(len(texts), limit, dtype=np.int64)
        rows = [row for row, text in enumerate(texts) if len(text) <= CHARACTERS * limit]
        for start in range(0, len(rows), TEXTS_AT_ONCE):
            part = rows[start : start + TEXTS_AT_ONCE]
            counts[part] = self._exactly([texts[row] for row in part])
        return np.minimum(counts, limit)

    def _exactly(self, texts: list[str]) -> list[int]:
        # A lone surrogate (JSON can hold one) has no UTF-8 form.
        clean = [text.encode("utf-8", "replace") for text in texts]
        if self._tokenizer is None:
            return [len(text) // 4 for text in clean]
        found = self._tokenizer.encode_batch_fast(
            [text.decode() for text in clean], add_special_tokens=False
        )
        return [len(one) for one in found]


def batches(tokens: Ints, budget: int) -> list[Ints]:
    """Group texts of similar length into batches within a budget of tokens, padding included.

    Sorting saves padding, and the budget keeps batches within a cache or a GPU.

    Args:
        tokens: of each text, at least 1, shape (texts,).
        budget: tokens of a batch; a text with more is a batch of its own.

    Returns:
        Positions of texts, batch by batch, from long to short.
    """
    order = np.argsort(-tokens, kind="stable")
    groups, start = [], 0
    while start < len(order):
        size = max(1, budget // int(tokens[order[start]]))
        groups.append(order[start : start + size])
        start += size
    return groups


def halved_where_memory_is_short(run: Callable[[Ints], Result], batch: Ints) -> list[Result]:
    """Run a batch; if memory does not suffice, run its halves one after the other.

    Returns:
        The results of the parts that it took, in order.

    Raises:
        Exception: what `run` raises for a single text.
    """
    try:
        return [run(batch)]
    except Exception as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
    # Only here has Python released the memory of the failed pass.
    incidents.note(f"A batch of {len(batch)} texts took too much memory, and was halved.")
    middle = len(batch) // 2
    halves = (batch[:middle], batch[middle:])
    return [part for half in halves for part in halved_where_memory_is_short(run, half)]
