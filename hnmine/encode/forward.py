"""Run a model of sentence-transformers on inputs on its device."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from torch import Tensor

log = logging.getLogger("hnmine")

TASKS = ("feature-extraction", "sequence-classification")
"""Tasks whose heads find the last token of a text themselves."""

TRIAL = 16
"""Tokens that show whether a token changes what stands before it."""


class Forward:
    """Computes the outputs of batches.

    A model that reads from left to right needs no mask if all padding stands on the right: no text
    sees it. Without a mask PyTorch takes its fastest attention, and never waits for the device to
    look whether there is padding.

    Attributes:
        unmasked: whether the model reads so.
    """

    def __init__(self, model: CrossEncoder | SentenceTransformer, output: str) -> None:
        """Take a model, whose modules take no arguments but inputs, and the name of its output."""
        self._model, self._output = model, output
        self.unmasked = _reads_to_the_right(model)

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the outputs of a batch, on the device."""
        outputs: Tensor
        if not self.unmasked:
            outputs = self._model(inputs)[self._output]
            return outputs
        mask = inputs.pop("attention_mask")
        first, *others = self._model
        features = first(inputs)
        features["attention_mask"] = mask
        for module in others:
            features = module(features)
        outputs = features[self._output]
        return outputs


def _reads_to_the_right(model: CrossEncoder | SentenceTransformer) -> bool:
    """Try whether tokens change, to the bit, what a transformer computes for those before."""
    import torch

    transformer = model.transformers_model
    module = next(iter(model), None)
    if transformer is None or getattr(module, "transformer_task", "") not in TASKS:
        return False
    half = TRIAL // 2
    try:
        size = transformer.get_input_embeddings().num_embeddings
        one = torch.arange(TRIAL, device=model.device)[None] % size
        other = one.clone()
        other[:, half:] = (one[:, half:] + half + 1) % size
        with torch.inference_mode():
            states = [transformer.base_model(input_ids=ids)[0][:, :half] for ids in (one, other)]
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        log.debug(f"It is run with a mask: {error}")
        return False
    return bool(torch.equal(*states))
