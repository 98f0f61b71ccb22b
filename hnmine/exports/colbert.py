"""ColBERT: queries, documents and training triples in separate files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hnmine.exports.examples import Material
from hnmine.exports.format import Format
from hnmine.exports.row_files import one_line


def colbert_triples(material: Material) -> Iterator[list[object]]:
    """Yield `[query, positive, negative]`; with scores `[query, [positive, score], …]`.

    Queries and documents go by their line, as ColBERT wants: its collection is a list. Lists with
    scores are of one length, its `nway`.
    """
    scored = material.scores is not None
    for example in material.full_examples() if scored else material.examples():
        for positive in example.positives:
            passages = [positive, *example.negatives]
            numbers = np.searchsorted(material.used, [one.row for one in passages]).tolist()
            if scored:
                scores = [passage.score for passage in passages]
                yield [example.number, *map(list, zip(numbers, scores, strict=True))]
            else:
                yield from ([example.number, numbers[0], number] for number in numbers[1:])


def colbert_queries(material: Material) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each query."""
    for example in material.examples():
        yield example.number, one_line(example.query)


def colbert_documents(material: Material) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each document."""
    for number, (_, text) in enumerate(material.used_documents()):
        yield number, one_line(text)


def colbert_query_ids(material: Material) -> Iterator[dict[str, str]]:
    """Yield the id behind each number of a query."""
    for example in material.examples():
        yield {"query_id": example.id}


def colbert_document_ids(material: Material) -> Iterator[dict[str, str]]:
    """Yield the id behind each number of a document."""
    for document, _ in material.used_documents():
        yield {"document_id": document}


COLBERT = Format(
    {
        "triples.train.colbert.jsonl": colbert_triples,
        "queries.train.colbert.tsv": colbert_queries,
        "corpus.train.colbert.tsv": colbert_documents,
        "query_ids.jsonl": colbert_query_ids,
        "document_ids.jsonl": colbert_document_ids,
    },
    "optional",
    full="scored",
)
