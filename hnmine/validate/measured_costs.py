"""What units of work cost on this machine: the real stages on a sample, in a passing folder.

Each is timed twice, with more and with less to do, so that what a process pays once is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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

DOCUMENTS, QUERIES = 16384, 1024
"""The most that a trial has to do."""

LESS = 4
"""How many times less the smaller trial has to do."""

SMALLEST = 64
"""Documents and queries that a trial needs, at least; a smaller sample is taken several times."""


@dataclass(frozen=True)
class _Trial:
    """A sample, and the folder where it is worked on."""

    folder: Path
    documents: Sequence[str]
    queries: Sequence[str]
    depth: int

    def index(self, documents: int) -> float:
        """Build a BM25 index of so many documents; return the CPU seconds."""
        corpus = self.folder / f"corpus-{documents}.parquet"
        ids = [f"d{n}" for n in range(documents)]
        pq.write_table(pa.table({"id": ids, "text": self.documents[:documents]}), corpus)
        values = {"corpus": [str(corpus)], "index": self._place("index", documents), "dense": False}
        return _timed(lambda: build_index(BuildIndexSettings.parse({**values, **QUIET})))

    def mine(self, documents: int, queries: int) -> float:
        """Mine for so many queries; return the CPU seconds."""
        pairs = self.folder / f"pairs-{queries}.parquet"
        columns = {
            "query_id": [f"q{n}" for n in range(queries)],
            "query": self.queries[:queries],
            "positive_id": [f"d{n % documents}" for n in range(queries)],
            "positive": [self.documents[n % documents] for n in range(queries)],
        }
        pq.write_table(pa.table(columns), pairs)
        values = {
            "index": self._place("index", documents),
            "pairs": str(pairs),
            "output": self._place("candidates", documents, queries),
            "top_k": self.depth,
        }
        return _timed(lambda: mine(MineSettings.parse({**values, **QUIET})))

    def filter(self, documents: int, queries: int) -> tuple[float, int]:
        """Filter what was mined; return the CPU seconds and the candidates."""
        values = {
            "candidates": self._place("candidates", documents, queries),
            "output": self._place("mined", documents, queries),
        }
        settings = FilterSettings.parse({**values, **QUIET})
        counts: dict[str, Any] = {}
        seconds = _timed(lambda: counts.update(filter(settings).counts))
        return seconds, int(counts["candidates"])

    def _place(self, what: str, *of: int) -> Path:
        return self.folder / "-".join([what, *map(str, of)])


QUIET = {"threads": 1, "progress": False}


def unit_costs(
    documents: Sequence[str], queries: Sequence[str], *, depth: int, dimension: int | None
) -> Costs:
    """Measure what units cost, but for the models.

    Args:
        documents: a sample, not empty.
        queries: a sample; empty if nothing is mined.
        depth: candidates from each source for each query.
        dimension: of the vectors; None without a dense index.
    """
    texts = _filled(documents, DOCUMENTS)
    with TemporaryDirectory(prefix="hnmine-trial-") as folder:
        trial = _Trial(Path(folder), texts, _filled(queries, QUERIES), depth)
        building = _of_building(texts, Path(folder))
        if not queries:
            return building
        dense = _of_vectors(Path(folder), dimension, depth) if dimension else 0.0
        mining = _of_mining(trial)
    return Costs(
        document=building.document, count=building.count, merge=building.merge,
        query=mining.query, bm25=mining.bm25, candidate=mining.candidate, dense=dense,
    )  # fmt: skip


def _filled(texts: Sequence[str], most: int) -> list[str]:
    """Return up to so many texts, and no fewer than a trial needs."""
    times = -(-SMALLEST // max(1, len(texts)))
    return [text + " " * n for n in range(times) for text in texts][:most]


def _of_building(texts: list[str], folder: Path) -> Costs:
    """Time each step of an index by itself."""
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


def _of_mining(trial: _Trial) -> Costs:
    """Tell apart what a query costs by itself and for each document."""
    many, all_queries = len(trial.documents), len(trial.queries)
    few, some = many // LESS, all_queries // LESS
    for documents in (few, many):
        trial.index(documents)
    trial.mine(few, some)
    trial.filter(few, some)  # Compiles, and is forgotten, as is what came before.
    less = trial.mine(many, some), trial.filter(many, some)
    more = trial.mine(many, all_queries), trial.filter(many, all_queries)
    short = trial.mine(few, all_queries)
    each = max(0.0, more[0] - less[0]) / (all_queries - some)
    bm25 = min(each / many, max(0.0, more[0] - short) / (all_queries * (many - few)))
    (one, fewer), (other, candidates) = less[1], more[1]
    return Costs(
        query=each - bm25 * many,
        bm25=bm25,
        candidate=max(0.0, other - one) / max(1, candidates - fewer),
    )


def _of_vectors(folder: Path, dimension: int, depth: int) -> float:
    """Time the comparison of a query with a document."""
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


def _timed(act: Callable[[], Any]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start
