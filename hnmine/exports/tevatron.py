"""Tevatron: queries with their passages, or with ids and the corpus beside them.

Titles are part of the text here, so there is no `title`: Tevatron would put it before the text.
"""

from __future__ import annotations

from collections.abc import Iterator

from hnmine.exports.examples import Material, Passage
from hnmine.exports.format import Format, of_lines


def tevatron(material: Material) -> Iterator[dict[str, object]]:
    """Yield `query_id, query, positive_passages, negative_passages`."""
    for example in material.examples():
        yield {
            "query_id": example.id,
            "query": example.query,
            "positive_passages": _passages(example.positives),
            "negative_passages": _passages(example.negatives),
        }


def _passages(passages: list[Passage]) -> list[dict[str, str]]:
    return [{"docid": passage.id, "text": passage.text} for passage in passages]


def tevatron_ids(material: Material) -> Iterator[dict[str, object]]:
    """Yield `query_id, query_text, query_image, positive_document_ids, negative_document_ids`."""
    for example in material.examples():
        yield {
            "query_id": example.id,
            "query_text": example.query,
            "query_image": None,
            "positive_document_ids": [passage.id for passage in example.positives],
            "negative_document_ids": [passage.id for passage in example.negatives],
        }


def tevatron_corpus(material: Material) -> Iterator[dict[str, object]]:
    """Yield `docid, text` of the documents that the queries name."""
    for document, text in material.used_documents():
        yield {"docid": document, "text": text}


TEVATRON = of_lines(tevatron)
TEVATRON_IDS = Format(
    {"train.jsonl": tevatron_ids, "corpus.jsonl": tevatron_corpus},
    configs={"train": "train.jsonl", "corpus": "corpus.jsonl"},
)
