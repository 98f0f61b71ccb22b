"""Candidates whose vectors are near the query's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hnmine.config import MineSettings
from hnmine.encode import load_encoder
from hnmine.encode.spec import ModelSpec
from hnmine.index.dense import DenseIndex
from hnmine.index.opened import Index
from hnmine.sources.base import Block, Source


def open_dense(index: Index, settings: MineSettings, threads: int) -> Source:
    """Open the dense index and load the encoder that its vectors were made with."""
    spec = ModelSpec.model_validate(index.manifest["encoder"])
    encoder = load_encoder(spec.on(settings.device), threads)
    vectors = DenseIndex(index.paths.dense, threads, settings.faiss_search)

    def block(queries: Sequence[str]) -> Block:
        encoded = encoder.encode(queries, "query")
        return Block(partial(vectors.search, encoded), partial(vectors.score, encoded))

    return block
