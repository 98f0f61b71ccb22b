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

TICK_BATCHES = 16
"""Batches between two steps of the progress bar."""


def by_length(texts: Sequence[str]) -> NDArray[np.int64]:
    """Order texts from long to short, so that a batch holds texts of like length."""
    return np.argsort([-len(text) for text in texts], kind="stable")


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
        vectors = encode(
            list(texts),
            prompt=prompt,
            batch_size=self.spec.batch_size,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
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
        order = by_length([q + d for q, d in zip(queries, documents, strict=True)])
        scores = np.empty(len(order), dtype=np.float32)
        for start in range(0, len(order), step := TICK_BATCHES * self.spec.batch_size):
            pairs = order[start : start + step]
            outputs = self.model.predict(
                [(queries[pair], documents[pair]) for pair in pairs],
                batch_size=self.spec.batch_size,
                activation_fn=self.identity,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            scores[pairs] = logits(outputs, self.spec.model)
            tick(len(pairs))
        return scores


def _cannot_load(model: str, error: Exception) -> MissingModel:
    lines = str(error).strip().splitlines()
    return MissingModel(
        f"The model {model} cannot be loaded.",
        why=lines[0] if lines else repr(error),
        fix="Check that it is a sentence-transformers or transformers model of the right kind.",
    )
