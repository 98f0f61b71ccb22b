"""TREC and MS MARCO: lines of ids."""

from __future__ import annotations

from collections.abc import Iterator

from hnmine.exports.beir import judgements
from hnmine.exports.examples import Material
from hnmine.exports.format import Format
from hnmine.exports.row_files import one_line


def trec_run(material: Material) -> Iterator[tuple[object, ...]]:
    """Yield `query Q0 document rank score tag` of all candidates and positives, ranks from 1."""
    for query, hits in material.ranked():
        for rank, (document, score) in enumerate(hits, 1):
            yield query, "Q0", document, rank, score, "hnmine"


def trec_qrels(material: Material) -> Iterator[tuple[object, ...]]:
    """Yield `query 0 document grade`."""
    unscored = Material(material.mined, None, tick=material.tick)  # A judgement needs no score.
    for example in unscored.examples():
        yield from ((example.id, 0, document, grade) for document, grade in judgements(example))


def collection(material: Material) -> Iterator[tuple[str, str]]:
    """Yield id and text of the documents that are used."""
    for document, text in material.used_documents():
        yield document, one_line(text)


def queries(material: Material) -> Iterator[tuple[str, str]]:
    """Yield id and text."""
    for example in material.examples():
        yield example.id, one_line(example.query)


def qrels(material: Material) -> Iterator[tuple[object, ...]]:
    """Yield query id, 0, document id and 1 for each positive."""
    for example in material.examples():
        yield from ((example.id, 0, passage.id, 1) for passage in example.positives)


def triples(material: Material) -> Iterator[tuple[str, str, str]]:
    """Yield query id, positive id and negative id."""
    for example in material.examples():
        for positive in example.positives:
            yield from ((example.id, positive.id, negative.id) for negative in example.negatives)


MSMARCO = Format(
    {
        "collection.tsv": collection,
        "queries.train.tsv": queries,
        "qrels.train.tsv": qrels,
        "qidpidtriples.train.tsv": triples,
    }
)
TREC = Format({"run.txt": trec_run, "qrels.txt": trec_qrels}, "always", full="own")
