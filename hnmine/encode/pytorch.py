"""Encoders and cross-encoders run by sentence-transformers on PyTorch."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.config import Dtype
from hnmine.encode.base import Kind, Tick, logits, unit_vectors
from hnmine.encode.spec import ModelSpec
from hnmine.errors import MissingModel

NO_LIMIT = 1 << 20
"""Stands for the length limit of a model without one."""


def batches(texts: Sequence[str], limit: int, budget: int) -> list[NDArray[np.int64]]:
    """Group texts of like length into batches of about as many tokens.

    Sorting spares the padding, and a budget of tokens keeps long batches from overflowing a cache
    or a GPU. Tokens are estimated as four bytes each.

    Args:
        texts: to group.
        limit: tokens after which the model cuts a text.
        budget: tokens in a batch, padding counted.

    Returns:
        Positions in `texts`, batch by batch, from long to short.
    """
    tokens = np.minimum([len(text.encode("utf-8", "replace")) // 4 + 3 for text in texts], limit)
    order = np.argsort(-tokens, kind="stable")
    groups, start = [], 0
    while start < len(order):
        size = max(1, budget // int(tokens[order[start]]))
        groups.append(order[start : start + size])
        start += size
    return groups


def _quiet_torch(threads: int) -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    torch.set_num_threads(threads)
    return torch


def _torch_dtype(torch: Any, dtype: Dtype) -> Any:
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[dtype]


class TorchEncoder:
    """A bi-encoder run by sentence-transformers on PyTorch."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        torch = _quiet_torch(threads)
        from sentence_transformers import SentenceTransformer

        self.spec = spec
        try:
            self.model = SentenceTransformer(
                str(spec.folder()),
                device=spec.device,
                model_kwargs={"dtype": _torch_dtype(torch, spec.dtype)},
            )
        except (OSError, ValueError, KeyError) as error:
            raise _cannot_load(spec.model, error) from error
        if spec.max_length:
            self.model.max_seq_length = spec.max_length

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Return unit vectors, shape (texts, dimension)."""
        encode = self.model.encode_query if kind == "query" else self.model.encode_document
        prompt = self.spec.query_prompt if kind == "query" else self.spec.document_prompt
        limit = self.model.max_seq_length or NO_LIMIT
        vectors: NDArray[Any] | None = None
        for batch in batches(texts, limit, self.spec.batch_tokens or 1):
            part = encode(
                [texts[row] for row in batch],
                prompt=prompt,
                batch_size=len(batch),
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            if vectors is None:
                vectors = np.empty((len(texts), part.shape[1]), dtype=np.float32)
            vectors[batch] = part
        assert vectors is not None, "no texts to encode"
        return unit_vectors(vectors)


class TorchCrossEncoder:
    """A cross-encoder run by sentence-transformers on PyTorch."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        torch = _quiet_torch(threads)
        from sentence_transformers import CrossEncoder as Model

        self.spec, self.identity = spec, torch.nn.Identity()
        try:
            self.model = Model(
                str(spec.folder()),
                device=spec.device,
                max_length=spec.max_length,
                model_kwargs={"dtype": _torch_dtype(torch, spec.dtype)},
            )
        except (OSError, ValueError, KeyError) as error:
            raise _cannot_load(spec.model, error) from error

    def score(
        self, queries: Sequence[str], documents: Sequence[str], tick: Tick
    ) -> NDArray[np.float32]:
        """Return one raw logit for each pair, no activation applied, shape (pairs,)."""
        limit = self.model.max_length or NO_LIMIT
        scores = np.empty(len(queries), dtype=np.float32)
        both = [query + document for query, document in zip(queries, documents, strict=True)]
        for batch in batches(both, limit, self.spec.batch_tokens or 1):
            outputs = self.model.predict(
                [(queries[pair], documents[pair]) for pair in batch],
                batch_size=len(batch),
                activation_fn=self.identity,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            scores[batch] = logits(outputs, self.spec.model)
            tick(len(batch))
        return scores


def _cannot_load(model: str, error: Exception) -> MissingModel:
    lines = str(error).strip().splitlines()
    return MissingModel(
        f"The model {model} cannot be loaded.",
        why=lines[0] if lines else repr(error),
        fix="Check that it is a sentence-transformers or transformers model of the right kind.",
    )
