"""ms-swift: queries, positives and negatives as messages."""

from __future__ import annotations

from collections.abc import Iterator

from hnmine.exports.examples import Material, Passage
from hnmine.exports.format import of_lines


def embedding(material: Material) -> Iterator[dict[str, object]]:
    """Yield a row for each positive: ms-swift takes one.

    A query with fewer negatives than asked has no row: it would be filled up with its positive.
    """
    for example in material.full_examples():
        for positive in example.positives:
            yield _row(example.query, [positive], example.negatives, "user")


def reranker(material: Material) -> Iterator[dict[str, object]]:
    """Yield a row for each query."""
    for example in material.examples():
        yield _row(example.query, example.positives, example.negatives, "assistant")


def _row(
    query: str, positives: list[Passage], negatives: list[Passage], role: str
) -> dict[str, object]:
    return {
        "messages": [{"role": "user", "content": query}],
        "positive_messages": [[{"role": role, "content": one.text}] for one in positives],
        "negative_messages": [[{"role": role, "content": one.text}] for one in negatives],
    }


EMBEDDING, RERANKER = of_lines(embedding, "always"), of_lines(reranker)
