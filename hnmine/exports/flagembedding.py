"""FlagEmbedding: one JSON object for each query, with lists of texts and of their scores."""

from __future__ import annotations

from collections.abc import Iterator

from hnmine.exports.examples import Material
from hnmine.exports.format import Format


def flagembedding(material: Material) -> Iterator[dict[str, object]]:
    """Yield `query, pos, neg, pos_scores, neg_scores`, and `prompt` if there is one."""
    prompt = {} if material.prompt is None else {"prompt": material.prompt}
    for example in material.examples():
        yield {
            "query": example.query,
            "pos": [passage.text for passage in example.positives],
            "neg": [passage.text for passage in example.negatives],
            "pos_scores": [passage.score for passage in example.positives],
            "neg_scores": [passage.score for passage in example.negatives],
            **prompt,
        }


# FlagEmbedding reads all JSON files of a folder: no manifest may stand among them.
FILE = "data/train.jsonl"
FLAGEMBEDDING = Format({FILE: flagembedding}, "always", {"train": FILE}, prompt=True)
