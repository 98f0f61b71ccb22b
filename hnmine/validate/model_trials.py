"""What models cost on this machine: a few texts and pairs, timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hnmine.encode import load_cross_encoder, load_encoder
from hnmine.encode.interface import Kind
from hnmine.encode.spec import ModelSpec
from hnmine.validate.forecast import Costs

TRIAL = 64
"""Texts or pairs that a trial runs at once."""

ROUNDS, ENOUGH_SECONDS = 3, 2.0
"""A trial is repeated so often, but not after so many seconds; the fastest counts."""


def model_costs(
    encoder: ModelSpec | None,
    judge: ModelSpec | None,
    documents: Sequence[str],
    queries: Sequence[str],
    threads: int,
) -> Costs:
    """Measure what models take for a document, a query and a pair, by one thread's seconds.

    Raises:
        HnmineError: a model cannot be loaded or run.
    """
    encode = encode_query = score = 0.0
    if encoder:
        encode = threads / encode_rate(encoder, documents, threads, "document")
    if encoder and queries:
        encode_query = threads / encode_rate(encoder, queries, threads, "query")
    if judge and queries:
        score = threads / score_rate(judge, queries, documents, threads)
    return Costs(encode=encode, encode_query=encode_query, judge=score)


def encode_rate(spec: ModelSpec, texts: Sequence[str], threads: int, kind: Kind) -> float:
    """Encode a few texts with the real encoder and return how many it does in a second.

    Raises:
        HnmineError: the encoder cannot be loaded or run.
    """
    encoder = load_encoder(spec, threads)
    encoder.encode(texts[:4], kind)  # The first call pays for warming up.
    return _rate(lambda: encoder.encode(texts[:TRIAL], kind), len(texts[:TRIAL]))


def _rate(act: Callable[[], object], items: int) -> float:
    """Return how many items an act does in a second when nothing else runs."""
    began, fastest = time.perf_counter(), float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        end = time.perf_counter()
        fastest = min(fastest, end - start)
        if end - began > ENOUGH_SECONDS:
            break
    return items / fastest


def score_rate(
    spec: ModelSpec, queries: Sequence[str], documents: Sequence[str], threads: int
) -> float:
    """Score a few pairs with the real cross-encoder and return how many it does in a second.

    Raises:
        HnmineError: the cross-encoder cannot be loaded or run.
    """
    model = load_cross_encoder(spec, threads)
    asked = [queries[n % len(queries)] for n in range(len(documents[:TRIAL]))]
    model.score(asked[:4], documents[:4], lambda done: None)
    return _rate(lambda: model.score(asked, documents[: len(asked)], lambda done: None), len(asked))
