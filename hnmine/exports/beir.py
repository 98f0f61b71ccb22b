"""BEIR and MTEB: corpus, queries, and judgements (1 positive, 0 negative); negative queries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hnmine.exports.examples import Example, Material
from hnmine.exports.format import Format


def corpus(material: Material) -> Iterator[dict[str, str]]:
    """Yield `_id, title, text` of every document of the index."""
    for document, text in material.texts_of(np.arange(len(material.documents))):
        yield {"_id": document, "title": "", "text": text}


def queries(material: Material) -> Iterator[dict[str, str]]:
    """Yield `_id, text`."""
    for example in material.examples():
        yield {"_id": example.id, "text": example.query}


def judgements(example: Example) -> Iterator[tuple[str, int]]:
    """Yield the id and the grade of each document of a query."""
    yield from ((passage.id, 1) for passage in example.positives)
    yield from ((passage.id, 0) for passage in example.negatives)


def beir_qrels(material: Material) -> Iterator[tuple[str, str, object]]:
    """Yield query id, document id and grade, below a header."""
    yield "query-id", "corpus-id", "score"
    for example in material.examples():
        yield from ((example.id, document, grade) for document, grade in judgements(example))


def mteb_qrels(material: Material) -> Iterator[dict[str, object]]:
    """Yield `query-id, corpus-id, score`."""
    for example in material.examples():
        for document, grade in judgements(example):
            yield {"query-id": example.id, "corpus-id": document, "score": grade}


def mteb_top_ranked(material: Material) -> Iterator[dict[str, object]]:
    """Yield `query-id, corpus-ids`: the documents to rerank."""
    for example in material.examples():
        documents = [document for document, _ in judgements(example)]
        yield {"query-id": example.id, "corpus-ids": documents}


def unanswered_corpus(material: Material) -> Iterator[dict[str, str]]:
    """Yield `_id, title, text` of every document that is no positive, nor a copy of one."""
    answers = material.positive_slots
    rows = np.arange(len(material.documents))
    left = rows[~np.isin(material.documents.slots(rows), answers)]
    for document, text in material.texts_of(left):
        yield {"_id": document, "title": "", "text": text}


def unanswered_qrels(material: Material) -> Iterator[tuple[str, str, object]]:
    """Yield query id, document id and 0 for the hard negatives that are left, below a header."""
    answers = set(material.positive_slots.tolist())
    yield "query-id", "corpus-id", "score"
    for example in material.examples():
        slots = material.documents.slots(np.array([one.row for one in example.negatives]))
        for passage, slot in zip(example.negatives, slots.tolist(), strict=True):
            if slot not in answers:
                yield example.id, passage.id, 0


QRELS = "qrels/train.tsv"
BEIR = Format(
    {"corpus.jsonl": corpus, "queries.jsonl": queries, QRELS: beir_qrels}, by_split=(QRELS,)
)
UNANSWERED = Format(
    {"corpus.jsonl": unanswered_corpus, "queries.jsonl": queries, QRELS: unanswered_qrels},
    by_split=(QRELS,),
)
MTEB = Format(
    {
        "corpus.jsonl": corpus,
        "queries.jsonl": queries,
        "qrels.jsonl": mteb_qrels,
        "top_ranked.jsonl": mteb_top_ranked,
    },
    configs={
        "default": "qrels.jsonl",
        **{name: f"{name}.jsonl" for name in ("corpus", "queries", "top_ranked")},
    },
)
