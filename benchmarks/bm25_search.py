"""BM25 search against rank-bm25: the same tokens, the same top k, in turn, on one thread."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from benchmarks.common import report, spread, stdlib, texts
from hnmine.index.bm25.build import count_documents, merge_counts
from hnmine.index.bm25.reference import RankBM25
from hnmine.index.bm25.search import BM25Index
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.tokenise import Tokeniser
from hnmine.index.topk import Ranking

K = 100
ROUNDS = 5


def seconds(act: Callable[[], Ranking]) -> tuple[float, Ranking]:
    """Time one call in CPU seconds of this process."""
    start = time.process_time()
    result = act()
    return time.process_time() - start, result


def measure(name: str, documents: list[str], slow_queries: int) -> dict[str, object]:
    """Compare both engines on one corpus; queries are seven words cut from its passages."""
    random = np.random.default_rng(0)
    long_enough = [text.split() for text in documents if len(text.split()) >= 14]
    queries = []
    for row in random.choice(len(long_enough), 1000):
        words = long_enough[row]
        start = random.integers(len(words) - 7)
        queries.append(" ".join(words[start : start + 7]))
    settings = BM25Settings("okapi", tokeniser=Tokeniser("word", "english"))
    with tempfile.TemporaryDirectory() as folder:
        index_folder = Path(folder) / "index"
        index_folder.mkdir()
        count_documents(documents, settings.tokeniser, Path(folder) / "counts.npz")
        merge_counts([Path(folder) / "counts.npz"], settings, index_folder)
        ours, theirs = BM25Index(index_folder), RankBM25(documents, settings)
        few = queries[:slow_queries]
        k, k_few = np.full(len(queries), K), np.full(len(few), K)
        ours.search(queries[:10], k[:10])
        ratios, speeds = [], []
        for _ in range(ROUNDS):
            slow, expected = seconds(lambda: theirs.search(few, k_few))
            fast, _ = seconds(lambda: ours.search(queries, k))
            ratios.append((slow / len(few)) / (fast / len(queries)))
            speeds.append(len(queries) / fast)
        found = ours.search(few, k_few)
        assert np.array_equal(found.offsets, expected.offsets)
        assert np.array_equal(found.slots, expected.slots)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    return {
        "corpus": name,
        "documents": len(documents),
        "queries per CPU second": spread(speeds),
        "times rank-bm25": spread(ratios),
        "same top 100": "yes",
    }


def main() -> None:
    """Measure on the standard library and, where given, on a larger corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    arguments = parser.parse_args()
    rows = [measure("stdlib", texts(stdlib() / "corpus.parquet"), 20)]
    if arguments.data:
        large = arguments.data / "tech_docs_passages" / "corpus.parquet"
        rows.append(measure("tech_docs_passages", texts(large), 3))
    report("bm25_search", rows, ["numba", "rank-bm25"])


if __name__ == "__main__":
    main()
