"""Make a model's inputs from texts: each is tokenised once, on any thread, and padded later."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from tokenizers import Encoding, Tokenizer
    from torch import Tensor

Text = str | tuple[str, str]
"""A text, or a pair of texts for a cross-encoder."""

LONGEST_TRIAL = 4096
"""Tokens of the longest text that tries whether texts are cut alike."""


class OtherInputs(ValueError):
    """A model needs other inputs than a `Feed` makes."""


class Feed:
    """Makes the inputs of a model that sentence-transformers would make, as a trial has shown.

    A copy of the tokeniser truncates as the library has set it to, and never changes again.

    Attributes:
        prompt: before each text.
        side: of the padding; another than the library's only where no text sees the padding.
    """

    def __init__(
        self, model: CrossEncoder | SentenceTransformer, limit: int, prompt: str, **task: str
    ) -> None:
        """Take a model, its length limit, the prompt before each text, and the task if it has one.

        Raises:
            OtherInputs: the model needs other inputs than this makes.
        """
        self.prompt, self._tokenizer = prompt, model.tokenizer
        self.side = getattr(self._tokenizer, "padding_side", "right")
        trial = _trial(limit, hasattr(model, "predict"))
        made = model.preprocess(trial, prompt=prompt or None, **task)
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise OtherInputs("Its tokeniser is not one of the package tokenizers.")
        self._backend: Tokenizer = copy.deepcopy(backend)
        self._backend.no_padding()
        self._keys = [name for name, value in made.items() if hasattr(value, "shape")]
        self._rest = {name: made[name] for name in made if name not in self._keys}
        self._check(made, self.features(self.tokenise(trial)))

    @staticmethod
    def _check(made: dict[str, Tensor], ours: dict[str, Tensor]) -> None:
        import torch

        for name, value in made.items():
            if isinstance(value, torch.Tensor) and not torch.equal(value, ours[name]):
                raise OtherInputs(f"Its {name} are others.")

    def tokenise(self, items: Sequence[Text]) -> list[Encoding]:
        """Tokenise texts or pairs with the prompt; most of it runs beside other threads."""
        texts = [self._with_prompt(item) for item in items]
        try:
            found = self._backend.encode_batch_fast(texts)
        except (
            TypeError,
            UnicodeEncodeError,
        ):  # A lone surrogate (JSON can hold one) has no UTF-8 form.
            found = self._backend.encode_batch_fast([_clean(text) for text in texts])
        return found

    def _with_prompt(self, item: Text) -> Text:
        if isinstance(item, str):
            return self.prompt + item
        return (self.prompt + item[0], item[1])

    def features(self, encodings: Sequence[Encoding]) -> dict[str, Tensor]:
        """Return the inputs of one batch, padded to its longest text, on the CPU."""
        import torch

        lengths = np.array([len(one) for one in encodings])
        columns = np.arange(lengths.max())
        if self.side == "left":
            real = columns >= columns.size - lengths[:, None]
        else:
            real = columns < lengths[:, None]
        made = dict(self._rest)
        for name in self._keys:
            if name == "attention_mask":
                made[name] = torch.from_numpy(real.astype(np.int64))
                continue
            if name == "input_ids":
                values = np.fromiter(chain.from_iterable(one.ids for one in encodings), np.int64)
                padding = self._tokenizer.pad_token_id
            elif name == "token_type_ids":
                flat = b"".join(bytes(one.type_ids) for one in encodings)
                values = np.frombuffer(flat, np.uint8).astype(np.int64)
                padding = self._tokenizer.pad_token_type_id
            else:
                raise OtherInputs(f"It takes {name}.")
            padded = np.full(real.shape, padding, dtype=np.int64)
            padded[real] = values
            made[name] = torch.from_numpy(padded)
        return made


def _clean(item: Text) -> Text:
    if isinstance(item, str):
        return item.encode("utf-8", "replace").decode()
    return (_clean(item[0]), _clean(item[1]))  # type: ignore[return-value]


def _trial(limit: int, pairs: bool) -> Sequence[Text]:
    """Return texts that show how a model pads, cuts, and marks the ends of texts."""
    word = "a lantern "
    long = word * min(limit, LONGEST_TRIAL)
    texts = ["", "a", "Grüße aus Köln, where the lantern is lit.", long, word * 7]
    if not pairs:
        return texts
    return [("which", text) for text in texts] + [(long, long), (long, "a")]
