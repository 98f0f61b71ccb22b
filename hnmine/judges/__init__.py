"""Who says how relevant a candidate is: one line for each kind of judge."""

from __future__ import annotations

from hnmine.registry import Entry, Registry

JUDGES = Registry(
    "hnmine.judges",
    {
        "cross-encoder": Entry(
            "logits of a cross-encoder", "hnmine.judges.cross_encoder:CrossEncoderJudge.open"
        ),
        "bi-encoder": Entry(
            "cosines of a bi-encoder", "hnmine.judges.bi_encoder:BiEncoderJudge.open"
        ),
        "verdicts": Entry("a file of verdicts", "hnmine.judges.verdict_file:VerdictFile.open"),
    },
    taken=("pkg",),
)
"""By the kind of what --judge names; of another package, by the name that --judge has for it.

Each is opened with the candidates, what follows the name and a colon in --judge, the settings, and
the name of the judge's column; it returns a `Judge`.
"""
