"""Print hard negatives of the demo, and false ones that were left out."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

HARD, CAUGHT = 3, 2
"""Queries to show for each."""

CLEAR = 6.0
"""Logits between a positive and a negative that is plainly no answer."""

KNOWN = ("os.", "pathlib", "shutil", "heapq", "zipfile", "asyncio", "threading", "json", "random")
"""Modules that most readers know: their queries come first."""

OWN_DATA = """
Your own data: a corpus with `id` and `text`, and pairs with `query` and `positive`.

  hnmine build-index --corpus corpus.parquet --pairs pairs.parquet \\
      --encoder sentence-transformers/all-MiniLM-L6-v2 --index runs/index
  hnmine mine --index runs/index --pairs pairs.parquet --output runs/candidates
  hnmine filter --candidates runs/candidates --output runs/mined \\
      --cross-encoder cross-encoder/ms-marco-MiniLM-L6-v2
"""

Row = dict[str, Any]


def table(path: Path) -> list[Row]:
    """Read a Parquet file or folder as rows."""
    rows: list[Row] = ds.dataset(path, format="parquet").to_table().to_pylist()
    return rows


def line(mark: str, row: Row, texts: dict[str, str], end: str = "") -> str:
    """Describe one candidate."""
    scores = f"logit {row['ce_score']:6.2f}  cosine {row['dense_score']:.2f}"
    text = textwrap.shorten(texts[row["doc_id"]], 88, placeholder=" …")
    return f"  {mark:<9} {text}\n            {scores}{end}"


def hard(queries: dict[str, list[Row]]) -> Iterator[tuple[float, str, list[Row]]]:
    """Yield by query: the cosine of its hardest clear negative, its id, its clear negatives.

    They are near to the query for the bi-encoder, and far from an answer for the cross-encoder.
    """
    for query_id, rows in queries.items():
        found = [
            row
            for row in rows
            if row["selected"] and row["positive_score"] - row["ce_score"] >= CLEAR
        ]
        found.sort(key=lambda row: -row["dense_score"])
        if found:
            yield found[0]["dense_score"], query_id, found


def repeated(
    queries: dict[str, list[Row]], words: dict[str, str], texts: dict[str, str]
) -> list[Row]:
    """Return unlabelled candidates that begin with the query itself: each answers it."""
    return [
        row
        for query_id, rows in queries.items()
        for row in rows
        if row["label"] is None or row["selected"]
        if " ".join(texts[row["doc_id"]].partition("\n")[2].split()).startswith(words[query_id])
        and not row["is_positive"]
    ]


def main() -> None:
    """Print hard negatives, caught false negatives, and the commands for other data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    demo = parser.parse_args().demo
    texts = {row["id"]: row["text"] for row in table(demo / "data" / "corpus.parquet")}
    pairs = {row["query_id"]: row for row in table(demo / "data" / "pairs.parquet")}
    words = {query_id: pair["query"] for query_id, pair in pairs.items()}
    queries: dict[str, list[Row]] = {}
    for row in table(demo / "mined" / "scored"):
        queries.setdefault(row["query_id"], []).append(row)

    def known(query_id: str) -> bool:
        return bool(pairs[query_id]["positive_id"].startswith(KNOWN))

    print("\nHard negatives: near to the query, and no answer to it")
    found = sorted(hard(queries), key=lambda one: (not known(one[1]), -one[0], one[1]))
    for _, query_id, negatives in found[:HARD]:
        print(f"\n{words[query_id]}")
        positive = next(row for row in queries[query_id] if row["label"] == 1)
        print(line("positive", positive, texts))
        for row in negatives[:2]:
            print(line("negative", row, texts))

    same = repeated(queries, words, texts)
    caught = [row for row in same if not row["selected"]]
    print("\nFalse negatives that were left out: each answers the query, and has no label")
    shown = sorted(caught, key=lambda row: (not known(row["query_id"]), row["query_id"]))
    each = {row["query_id"]: row for row in reversed(shown)}
    for row in sorted(each.values(), key=shown.index)[:CAUGHT]:
        why = row["reason"] or "kept, not chosen"
        print(f"\n{words[row['query_id']]}")
        print(line("left out", row, texts, f"  {why}"))
    print(
        f"\n{len(same)} unlabelled candidates begin with their query, word for word. "
        f"{len(caught)} of them were left out."
    )
    print(
        f"\nTrain on {demo / 'mined' / 'train'}; every candidate is in {demo / 'mined' / 'scored'}."
    )
    print(OWN_DATA)


if __name__ == "__main__":
    main()
