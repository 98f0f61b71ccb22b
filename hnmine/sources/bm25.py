"""Sources that search by the words of the query, or of its positives (BM25)."""

from __future__ import annotations

from functools import partial

import numpy as np

from hnmine.directories.index import Index
from hnmine.index.bm25.postings import read_settings
from hnmine.index.bm25.reference import RankBM25
from hnmine.index.bm25.search import BM25Index
from hnmine.index.bm25.settings import BM25Settings, bm25_settings
from hnmine.sources.source import Asked, Mining, Score, Search, Source, best_of_positives


def recorded_settings(index: Index) -> BM25Settings:
    """Return the BM25 settings of an index, or those that it would get if it has no BM25 part."""
    if index.paths.bm25.exists():
        return read_settings(index.paths.bm25)
    return bm25_settings(index.manifest.settings)


def _engine(mining: Mining) -> BM25Index | RankBM25:
    """Open the BM25 index, or give all documents to the package rank-bm25."""
    index = mining.index
    if mining.bm25_engine == "hnmine":
        documents = len(index.documents.canonical)
        return BM25Index(index.paths.bm25, mining.threads, documents)
    texts = index.documents.texts(np.asarray(index.documents.canonical))
    return RankBM25(texts, recorded_settings(index))


def open_bm25(mining: Mining) -> Source:
    """Search with the query's words."""
    engine = _engine(mining)

    def search(asked: Asked) -> Search:
        return partial(engine.search, asked.texts)

    def score(asked: Asked) -> Score:
        return partial(engine.score, asked.texts)

    return Source(search, score)


def open_bm25_from_positive(mining: Mining) -> Source:
    """Search with the words of each positive; a document gets the best of its scores."""
    engine, documents = _engine(mining), mining.index.documents

    def search(asked: Asked) -> Search:
        offsets, rows = asked.positives
        return best_of_positives(offsets, partial(engine.search, documents.texts(rows)))

    return Source(search)
