"""Which queries are mined and trained on, and which ones the students are measured on.

A collection is a folder in the BEIR layout: `corpus.parquet` (`_id`, `title`, `text`),
`queries.parquet` (`_id`, `text`), `qrels.parquet` (`query_id`, `corpus_id`, `score`, and perhaps
`split`). What is written has that layout too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.quality.protocol import GRADES
from hnmine.inputs.identity import identity_keys
from hnmine.keyed_noise import keyed_noise

SEED = 9
"""Of every draw here: all arms and all seeds of training see the same queries and documents."""

HELD_OUT_SHARE = 0.4
"""Of the queries, where the judgements name no split."""


def split(
    collection: Path, output: Path, train: int, evaluate: int, documents: int, words: int
) -> None:
    """Write what is mined to `output`, and what is measured on to `output/held-out`.

    `output/oracle` has all relevant documents of the queries that are mined.

    A query to train on has one known positive, drawn by its id; a held-out query has all of its
    own. Queries are those of the split `train`, and of the others; without a split, a share of all
    is held out. No text is both trained on and held out. The held-out corpus has all relevant
    documents, and others by chance.

    Args:
        collection: folder in the BEIR layout.
        output: folder to write to.
        train: at most so many queries to train on.
        evaluate: at most so many held-out queries.
        documents: at least so many held-out documents, where there are so many.
        words: every document is cut after so many.
    """
    texts = _texts(collection / "queries.parquet", ("text",))
    corpus = {
        key: " ".join(text.split()[:words])
        for key, text in _texts(collection / "corpus.parquet", ("title", "text")).items()
    }
    relevant, trained = _relevant(collection, texts, corpus)
    ids = _shuffled(relevant)
    if not trained:
        trained = set(ids[round(len(ids) * HELD_OUT_SHARE) :])
    first: dict[bytes, bool] = {}
    for query, key in zip(ids, identity_keys([texts[query] for query in ids]), strict=True):
        first.setdefault(key.tobytes(), query in trained)
        if first[key.tobytes()] != (query in trained):
            relevant.pop(query)
    ids = [query for query in ids if query in relevant]
    mined = [query for query in ids if query in trained][:train]
    held_out = [query for query in ids if query not in trained][:evaluate]
    known = {query: [_shuffled(relevant[query], query)[0]] for query in mined}
    _write(output, corpus, texts, known)
    _write(output / "oracle", corpus, texts, {query: sorted(relevant[query]) for query in mined})
    needed = {document for query in held_out for document in relevant[query]}
    others = [document for document in _shuffled(corpus) if document not in needed]
    kept = needed | set(others[: max(0, documents - len(needed))])
    _write(
        output / "held-out",
        {key: text for key, text in corpus.items() if key in kept},
        texts,
        {query: sorted(relevant[query]) for query in held_out},
    )


def _texts(path: Path, columns: tuple[str, ...]) -> dict[str, str]:
    """Read texts by id, those that are not blank."""
    names = [name for name in columns if name in pq.read_schema(path).names]
    table = pq.read_table(path, columns=["_id", *names]).to_pydict()
    rows = zip(*(table[name] for name in names), strict=True)
    found = {
        str(key): " ".join(part for part in parts if part)
        for key, parts in zip(table["_id"], rows, strict=True)
    }
    return {key: text for key, text in found.items() if text.strip()}


def _relevant(
    collection: Path, texts: Mapping[str, str], corpus: Mapping[str, str]
) -> tuple[dict[str, set[str]], set[str]]:
    """Read the relevant documents of each query, and which queries are for training."""
    table = pq.read_table(collection / "qrels.parquet")
    table = table.rename_columns([name.replace("-", "_") for name in table.column_names])
    least = GRADES.get(collection.name, 1.0)
    relevant: dict[str, set[str]] = {}
    trained = set()
    for row in table.to_pylist():
        query, document = str(row["query_id"]), str(row["corpus_id"])
        if row["score"] >= least and query in texts and document in corpus:
            relevant.setdefault(query, set()).add(document)
            if row.get("split") == "train":
                trained.add(query)
    return relevant, trained


def _shuffled(ids: Iterable[str], salt: str = "") -> list[str]:
    """Return ids in an order that depends on nothing but them."""
    names = sorted(ids)
    noise = keyed_noise(SEED, [salt] * len(names), names)
    return [names[place] for place in np.argsort(noise, kind="stable")]


def _write(
    output: Path,
    corpus: Mapping[str, str],
    texts: Mapping[str, str],
    relevant: Mapping[str, list[str]],
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    queries = sorted(relevant)
    pairs = [(query, document) for query in queries for document in relevant[query]]
    tables = {
        "corpus": {"_id": list(corpus), "text": list(corpus.values())},
        "queries": {"_id": queries, "text": [texts[query] for query in queries]},
        "qrels": {
            "query_id": [query for query, _ in pairs],
            "corpus_id": [document for _, document in pairs],
        },
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), output / f"{name}.parquet")
