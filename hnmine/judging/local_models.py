"""A cross-encoder, an LLM reranker or a bi-encoder on this machine as a judge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from hnmine.encode import load_cross_encoder, load_encoder
from hnmine.encode.interface import CrossEncoder, Encoder
from hnmine.encode.roles import Use
from hnmine.encode.spec import ModelSpec
from hnmine.judges.judge import name_of
from hnmine.judging.machine_judge import Answer, Item, MachineJudge
from hnmine.printable import one_line
from hnmine.ragged import Floats

AT_ONCE = 64
"""Pairs in one call: enough for full batches, few enough to lose at an interruption."""


class LocalModelJudge(MachineJudge):
    """Scores pairs by a cross-encoder's logit, or by the similarity of a bi-encoder's vectors."""

    batch = AT_ONCE

    def __init__(self, spec: ModelSpec, use: Use, threads: int) -> None:
        self.name = one_line(name_of(spec.model))
        self._spec, self._use, self._threads = spec, use, threads
        self.identity = {"kind": use, **spec.model_dump(exclude={"model"})}
        self.reached_by = {"model": spec.model}

    def judge(self, items: Sequence[Item]) -> list[Answer]:
        """Score pairs; a score that is not finite is none. See `MachineJudge`."""
        queries = [item.query for item in items]
        documents = [item.document for item in items]
        scores = self._score(queries, documents).tolist()
        return [Answer(score=score if np.isfinite(score) else None) for score in scores]

    def _score(self, queries: list[str], documents: list[str]) -> Floats:
        if self._use == "cross-encoder":
            logits = self._cross_encoder.score(queries, documents, lambda done: None)
            return logits.astype(np.float64)
        vectors = [
            self._encoder.encode(queries, "query"),
            self._encoder.encode(documents, "document"),
        ]
        return np.einsum("ij,ij->i", *vectors).astype(np.float64)

    @cached_property
    def _cross_encoder(self) -> CrossEncoder:
        return load_cross_encoder(self._spec, self._threads)

    @cached_property
    def _encoder(self) -> Encoder:
        return load_encoder(self._spec, self._threads)
