"""What models cost on this machine: a few texts and pairs, timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hnmine.encode import load_cross_encoder, load_encoder
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
    texts, asked = documents[:TRIAL], queries[:TRIAL]
    encode = encode_query = score = 0.0
    if encoder:
        bi_encoder = load_encoder(encoder, threads)
        encode = _seconds(lambda n: bi_encoder.encode(texts[:n], "document"), len(texts))
        if queries:
            encode_query = _seconds(lambda n: bi_encoder.encode(asked[:n], "query"), len(asked))
    if judge and queries:
        reranker = load_cross_encoder(judge, threads)
        pairs = [queries[n % len(queries)] for n in range(len(texts))]
        score = _seconds(
            lambda n: reranker.score(pairs[:n], texts[:n], lambda done: None), len(texts)
        )
    encode, encode_query, score = (threads * one for one in (encode, encode_query, score))
    return Costs(encode=encode, encode_query=encode_query, judge=score)


def _seconds(act: Callable[[int], object], items: int) -> float:
    """Return the seconds of one item when nothing else runs; `act` does so many."""
    act(4)  # The first call pays for warming up.
    began, fastest = time.perf_counter(), float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act(items)
        end = time.perf_counter()
        fastest = min(fastest, end - start)
        if end - began > ENOUGH_SECONDS:
            break
    return fastest / items
