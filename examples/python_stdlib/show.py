"""Print some queries of the demo with their negatives and dropped candidates."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

SHOWN = ("os.path", "pathlib", "shutil", "heapq", "zipfile", "asyncio")


def table(path: Path) -> list[dict[str, Any]]:
    """Read a Parquet file or folder as rows."""
    rows: list[dict[str, Any]] = ds.dataset(path, format="parquet").to_table().to_pylist()
    return rows


def line(mark: str, row: dict[str, Any], texts: dict[str, str]) -> str:
    """Describe one candidate."""
    scores = f"logit {row['ce_score']:6.2f}  cosine {row['dense_score']:.2f}"
    if row["bm25_score"]:
        scores += f"  BM25 {row['bm25_score']:4.1f}"
    text = textwrap.shorten(texts[row["doc_id"]], 100, placeholder=" …")
    return f"  {mark:<9} {text}\n            {scores}" + (
        f"  dropped: {row['reason']}" if row["reason"] not in (None, "positive") else ""
    )


def main() -> None:
    """Print five queries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--queries", type=int, default=5)
    arguments = parser.parse_args()
    data, mined = arguments.demo / "data", arguments.demo / "mined"
    texts = {row["id"]: row["text"] for row in table(data / "corpus.parquet")}
    pairs = pq.read_table(data / "pairs.parquet").to_pylist()
    scored: dict[str, list[dict[str, Any]]] = {}
    for row in table(mined / "scored"):
        scored.setdefault(row["query_id"], []).append(row)
    pairs.sort(key=lambda pair: not pair["positive_id"].startswith(SHOWN))
    for pair in pairs[: arguments.queries]:
        rows = scored[pair["query_id"]]
        print(f"\n{pair['query']}")
        for row in rows:
            if row["label"] == 1:
                print(line("positive", row, texts))
        for row in rows:
            if row["selected"]:
                print(line("negative", row, texts))
        for row in [row for row in rows if not row["keep"] and row["label"] is None][:2]:
            print(line("-", row, texts))
    print("\nTraining data, with a card: " + str(mined))
    print(f"  {mined / 'train'}: for a trainer, as it is")
    print(f"  {mined / 'scored'}: every candidate with its scores and the reason for its verdict")
    print(f"  {mined / 'shortfall.parquet'}: queries that got fewer negatives than asked")


if __name__ == "__main__":
    main()
