"""The hidden-positive protocol: one known positive for each query, all others hidden.

A collection is a folder in the BEIR layout: `corpus.parquet` (`_id`, `title`, `text`),
`queries.parquet` (`_id`, `text`), `qrels.parquet` (`query_id`, `corpus_id`, `score`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.inputs.identity import identity_keys
from hnmine.keyed_noise import keyed_noise

GRADES = {"liveqa_med": 2.0}
"""Collections in which a document is relevant from another grade than 1."""

SINGLES = 0.1
"""Least share of queries with one positive: they say nothing of the rate, but of the yield."""


@dataclass(frozen=True)
class Judged:
    """What is known of each query, and what is known better; by query id.

    Args:
        texts: the queries' texts.
        known: the positive that the miner is told.
        hidden: the other relevant documents.
        zeros: documents judged not relevant.
    """

    texts: dict[str, str]
    known: dict[str, str]
    hidden: dict[str, set[str]]
    zeros: dict[str, set[str]]


def split(collection: Path, output: Path, queries: int, seed: int, min_grade: float = 1.0) -> None:
    """Draw queries and one known positive for each; write queries.parquet and qrels.parquet.

    Queries with two or more positives come first, but for a share of the others. All draws are
    keyed by seed and ids.

    Args:
        collection: folder in the BEIR layout.
        output: folder to write to.
        queries: at most so many.
        seed: of both draws.
        min_grade: judgements from this grade on are relevant.
    """
    texts = _query_texts(collection)
    documents = _documents(collection)
    relevant: dict[str, set[str]] = defaultdict(set)
    for query, document, grade in _judgements(collection):
        if grade >= min_grade and query in texts and document in documents:
            relevant[query].add(document)
    ids = sorted(relevant)
    order = dict(zip(ids, keyed_noise(seed, ids, [""] * len(ids)).tolist(), strict=True))
    ids.sort(key=order.__getitem__)
    single = [query for query in ids if len(relevant[query]) == 1]
    multiple = [query for query in ids if len(relevant[query]) > 1]
    multiple = multiple[: queries - min(len(single), round(queries * SINGLES))]
    chosen = sorted(multiple + single[: queries - len(multiple)])
    known = []
    for query in chosen:
        found = sorted(relevant[query])
        noise = keyed_noise(seed, [query] * len(found), found)
        known.append(found[int(noise.argmin())])
    output.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"_id": chosen, "text": [texts[query] for query in chosen]}),
        output / "queries.parquet",
    )
    pq.write_table(
        pa.table({"query-id": chosen, "corpus-id": known}),
        output / "qrels.parquet",
    )


def read_judged(collection: Path, output: Path, min_grade: float = 1.0) -> Judged:
    """Compare what `split` wrote with all judgements of its collection."""
    asked = pq.read_table(output / "queries.parquet").to_pydict()
    known = pq.read_table(output / "qrels.parquet").to_pydict()
    judged = Judged(
        texts=dict(zip(asked["_id"], asked["text"], strict=True)),
        known=dict(zip(known["query-id"], known["corpus-id"], strict=True)),
        hidden={query: set() for query in asked["_id"]},
        zeros={query: set() for query in asked["_id"]},
    )
    documents = _documents(collection)
    for query, document, grade in _judgements(collection):
        if document not in documents or judged.known.get(query, document) == document:
            continue
        if grade >= min_grade:
            judged.hidden[query].add(document)
        elif grade <= 0:
            judged.zeros[query].add(document)
    return judged


def _query_texts(collection: Path) -> dict[str, str]:
    """Read the queries, the first of those with the same text."""
    table = pq.read_table(collection / "queries.parquet", columns=["_id", "text"])
    ids, texts = (column.to_pylist() for column in table.columns)
    first: dict[bytes, int] = {}
    for row, key in enumerate(identity_keys(texts)):
        first.setdefault(key.tobytes(), row)
    return {str(ids[row]): texts[row] for row in first.values() if texts[row].strip()}


def _documents(collection: Path) -> set[str]:
    """Return the ids of the documents with any text."""
    path = collection / "corpus.parquet"
    there = [name for name in ("title", "text") if name in pq.read_schema(path).names]
    table = pq.read_table(path, columns=["_id", *there])
    texts = zip(*(table[name].to_pylist() for name in there), strict=True)
    return {
        str(document)
        for document, parts in zip(table["_id"].to_pylist(), texts, strict=True)
        if any((part or "").strip() for part in parts)
    }


def _judgements(collection: Path) -> list[tuple[str, str, float]]:
    """Read (query id, document id, grade)."""
    table = pq.read_table(collection / "qrels.parquet")
    table = table.rename_columns([name.replace("-", "_") for name in table.column_names])
    grades = table["score"].to_pylist() if "score" in table.column_names else [1] * len(table)
    columns = (map(str, table[name].to_pylist()) for name in ("query_id", "corpus_id"))
    return list(zip(*columns, map(float, grades), strict=True))
