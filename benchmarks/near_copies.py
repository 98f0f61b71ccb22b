"""What the near-copy rule drops, and how much of it was judged relevant.

For each query one known positive is kept and the others are hidden among its BM25 candidates, as
unlabelled positives would be. A rule that drops near copies of the one should drop hidden
positives more often than chance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import hnmine
from benchmarks.common import RESULTS, collections, report
from hnmine.directories.candidates import Candidates
from hnmine.sources.shingles import containment, shingles

THRESHOLDS = (0.5, 0.7, 0.8, 0.9)
TOP_K = 60


def measure(folder: Path, min_grade: int) -> list[dict[str, object]]:
    """Measure on one collection, at several thresholds."""
    root = RESULTS / "near_copies" / folder.name
    skip = {"on_bad_row": "skip", "progress": False}
    hnmine.build_index(
        corpus=str(folder / "corpus.parquet"), index=root / "index", dense=False, **skip
    )
    hnmine.mine(
        index=root / "index",
        queries=str(folder / "queries.parquet"),
        qrels=str(folder / "qrels.parquet"),
        output=root / "candidates",
        min_grade=min_grade,
        top_k=TOP_K,
        **skip,
    )
    candidates = Candidates(root / "candidates")
    table = pq.read_table(candidates.paths.candidates)
    query, document = table["query_row"].to_numpy(), table["doc_row"].to_numpy()
    positive = table["is_positive"].to_numpy()
    retrieved = ~np.isnan(table["bm25_rank"].to_numpy())
    # The known positive of a query is its first one in the order of the corpus.
    order = np.lexsort((document, ~positive, query))
    known = order[np.concatenate([[True], query[order][1:] != query[order][:-1]])]
    hidden = retrieved.copy()
    hidden[known] = False
    rows, place = np.unique(document, return_inverse=True)
    hashed = shingles(candidates.index.documents.texts(rows))
    owner = np.searchsorted(query[known], query)
    shares = containment(hashed, place, place[known], (owner, owner + 1))[hidden]
    relevant = positive[hidden]
    return [
        {
            "collection": folder.name,
            "share of words, at least": threshold,
            "candidates": len(shares),
            "dropped": int((dropped := shares >= threshold).sum()),
            "relevant among all": f"{relevant.mean():.3f}",
            "relevant among dropped": f"{relevant[dropped].mean():.3f}" if dropped.any() else "-",
        }
        for threshold in THRESHOLDS
    ]


def main() -> None:
    """Measure on every judged collection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder of collections")
    parser.add_argument("--min-grade", type=int, default=1)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for folder in collections(arguments.data):
        rows += measure(folder, arguments.min_grade)
    report("near_copies", rows, ["numba"])


if __name__ == "__main__":
    main()
