"""DPR: a JSON list of questions with contexts."""

from __future__ import annotations

from collections.abc import Iterator

from hnmine.exports.examples import Material, Passage
from hnmine.exports.format import Format


def dpr(material: Material) -> Iterator[dict[str, object]]:
    """Yield `dataset, question, answers, positive_ctxs, negative_ctxs, hard_negative_ctxs`."""
    for example in material.examples():
        yield {
            "dataset": "hnmine",
            "question": example.query,
            "answers": [],
            "positive_ctxs": _contexts(example.positives),
            "negative_ctxs": [],
            "hard_negative_ctxs": _contexts(example.negatives),
        }


def _contexts(passages: list[Passage]) -> list[dict[str, object]]:
    return [
        {
            "title": "",
            "text": passage.text,
            "score": passage.score,
            "title_score": 0,
            "passage_id": passage.id,
        }
        for passage in passages
    ]


DPR = Format({"train.json": dpr}, "always")
