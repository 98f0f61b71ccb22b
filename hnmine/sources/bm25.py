"""Candidates that share words with the query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from hnmine.config import MineSettings
from hnmine.index.bm25.reference import RankBM25
from hnmine.index.bm25.search import BM25Index
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.opened import Index
from hnmine.index.tokenise import Tokeniser
from hnmine.sources.base import Block, Source


def bm25_settings(settings: Mapping[str, Any]) -> BM25Settings:
    """Translate the settings of `build-index`, as its manifest holds them."""
    return BM25Settings(
        settings["bm25_variant"],
        settings["k1"],
        settings["b"],
        tokeniser=Tokeniser(settings["tokenizer"], settings["stemmer"]),
    )


def open_bm25(index: Index, settings: MineSettings, threads: int) -> Source:
    """Open the BM25 index, or hand all its documents to the package rank-bm25."""
    engine: BM25Index | RankBM25
    if settings.bm25_engine == "hnmine":
        engine = BM25Index(index.paths.bm25, threads)
    else:
        texts = index.documents.texts(np.asarray(index.documents.canonical))
        engine = RankBM25(texts, bm25_settings(index.settings))

    def block(queries: Sequence[str]) -> Block:
        return Block(partial(engine.search, queries), partial(engine.score, queries))

    return block
