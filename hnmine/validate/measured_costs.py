"""What units of work cost on this machine: the real stages, timed on a sample.

Each is timed twice, on more and on less, so that the cost of starting cancels out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.array_files import save_array
from hnmine.config import BuildIndexSettings, FilterSettings, MineSettings
from hnmine.index.bm25.build import count_documents, merge_counts
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.building import build_index
from hnmine.index.dense_index import DenseIndex
from hnmine.inputs.records import TextBatch
from hnmine.inputs.table_reader import BadRows
from hnmine.inputs.texts import write_texts
from hnmine.selection.pipeline import filter
from hnmine.sources.mining import mine
from hnmine.validate.forecast import Costs

DOCUMENTS, QUERIES = 16384, 512
"""The most that a trial has to do."""

LESS = 4
"""How many times less the smaller trial has to do."""

SMALLEST = 64
"""Documents and queries that a trial needs, at least; a smaller sample is taken several times."""


QUIET = {"threads": 1, "progress": False}


def unit_costs(
    documents: Sequence[str], queries: Sequence[str], *, depth: int, dimension: int | None
) -> Costs:
    """Measure what units cost, but for the models."""
    texts = _filled(documents, DOCUMENTS)
    with TemporaryDirectory(prefix="hnmine-trial-") as name:
        folder = Path(name)
        costs = _of_building(texts, folder)
        if queries:
            costs = _of_mining(costs, folder, texts, _filled(queries, QUERIES), depth)
            if dimension:
                costs = replace(costs, dense=_of_vectors(folder, dimension, depth))
    return costs


def _filled(texts: Sequence[str], most: int) -> list[str]:
    """Return up to so many texts, and no fewer than a trial needs."""
    times = -(-SMALLEST // max(1, len(texts)))
    return [text + " " * n for n in range(times) for text in texts][:most]


def _of_building(texts: list[str], folder: Path) -> Costs:
    ids = [f"d{n}" for n in range(len(texts))]
    settings = BM25Settings()

    def steps(count: int) -> tuple[float, float, float]:
        shard, merged = folder / f"{count}.counts", folder / f"merged-{count}"
        merged.mkdir()
        batch = TextBatch(ids[:count], texts[:count], has_own_id=True)
        return (
            _timed(
                lambda: write_texts(
                    lambda bad: iter([batch]),
                    folder / f"texts-{count}",
                    DOCUMENTS,
                    BadRows("skip"),
                    lambda rows: None,
                )
            ),
            _timed(lambda: count_documents(iter(texts[:count]), settings.tokeniser, shard)),
            _timed(lambda: merge_counts([shard], settings, merged)),
        )

    few = len(texts) // LESS
    steps(few - 1)  # Compiles, and is forgotten.
    less, more = steps(few), steps(len(texts))
    document, count, merge = (
        max(0.0, b - a) / (len(texts) - few) for a, b in zip(less, more, strict=True)
    )
    return Costs(document=document, count=count, merge=merge)


def _of_mining(
    costs: Costs, folder: Path, documents: list[str], queries: list[str], depth: int
) -> Costs:
    """Add what a query costs by itself and for each document, and what a candidate costs."""

    def run(of_documents: int, of_queries: int) -> tuple[float, float, int]:
        place = folder / f"{of_documents}-{of_queries}"
        place.mkdir(exist_ok=True)
        return _run(place, documents[:of_documents], queries[:of_queries], depth)

    many, all_queries = len(documents), len(queries)
    few, some = many // LESS, all_queries // LESS
    run(few, some)  # Compiles, and is forgotten.
    mining, filtering, candidates = run(many, all_queries)
    less_mining, less_filtering, less_candidates = run(many, some)
    short_mining, *_ = run(few, all_queries)
    each = max(0.0, mining - less_mining) / (all_queries - some)
    bm25 = min(each / many, max(0.0, mining - short_mining) / (all_queries * (many - few)))
    more = max(1, candidates - less_candidates)
    candidate = max(0.0, filtering - less_filtering) / more
    return replace(costs, query=each - bm25 * many, bm25=bm25, candidate=candidate)


def _run(
    folder: Path, documents: list[str], queries: list[str], depth: int
) -> tuple[float, float, int]:
    """Mine and filter; return the CPU seconds of both, and the candidates."""
    ids = [f"d{n}" for n in range(len(documents))]
    known = [n % len(documents) for n in range(len(queries))]
    pairs = {
        "query_id": [f"q{n}" for n in range(len(queries))],
        "query": queries,
        "positive_id": [ids[n] for n in known],
        "positive": [documents[n] for n in known],
    }
    corpus = folder / "corpus.parquet"
    index, candidates, mined = (folder / name for name in ("index", "candidates", "mined"))
    pq.write_table(pa.table({"id": ids, "text": documents}), corpus)
    pq.write_table(pa.table(pairs), folder / "pairs.parquet")
    built = {"corpus": [str(corpus)], "index": index, "dense": False}
    build_index(BuildIndexSettings.parse({**built, **QUIET}))
    asked = {"index": index, "pairs": str(folder / "pairs.parquet"), "output": candidates}
    mining = MineSettings.parse({**asked, "top_k": depth, **QUIET})
    filtering = FilterSettings.parse({"candidates": candidates, "output": mined, **QUIET})
    seconds = _timed(lambda: mine(mining))
    counts: dict[str, int] = {}
    return seconds, _timed(lambda: counts.update(filter(filtering).counts)), counts["candidates"]


def _of_vectors(folder: Path, dimension: int, depth: int) -> float:
    random = np.random.default_rng(0)
    (folder / "vectors").mkdir()
    vectors = random.standard_normal((DOCUMENTS, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    save_array(folder / "vectors" / "00000.npy", vectors)
    index = DenseIndex(folder, 1)

    def search(queries: int) -> float:
        wanted = np.full(queries, min(depth, DOCUMENTS))
        return _timed(lambda: index.search(vectors[:queries], wanted))

    search(QUERIES // LESS)
    more, less = search(QUERIES), search(QUERIES // LESS)
    return max(0.0, more - less) / ((QUERIES - QUERIES // LESS) * DOCUMENTS)


def _timed(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start
