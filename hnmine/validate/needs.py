"""What a run on the inputs will need, into the report of `hnmine validate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hnmine.config import ValidateSettings
from hnmine.encode.gate import check
from hnmine.encode.spec import ModelSpec
from hnmine.errors import HnmineError
from hnmine.index.dense_index import EXACT
from hnmine.validate.estimates import (
    check_faiss,
    encode_rate,
    encoder_facts,
    lengths,
    memory,
    score_rate,
    sizes,
)
from hnmine.validate.findings import Report
from hnmine.validate.input_checks import Gathered

Samples = Mapping[str, list[str]]


def estimate(
    report: Report,
    settings: ValidateSettings,
    found: Mapping[str, Gathered | None],
    mined: int,
) -> None:
    """Add lengths in tokens and the estimates to a report; a model that is not here is a fault.

    Args:
        report: with all that was counted.
        settings: of the command.
        found: `documents` and `queries`.
        mined: queries that have a positive.
    """
    folder = limit = dimension = None
    weights = None
    if settings.encoder:
        with _reported(report):
            facts = encoder_facts(settings.encoder, settings.max_length)
            folder, limit, dimension, weights = facts
    if settings.cross_encoder:
        with _reported(report):
            check(settings.cross_encoder, "cross-encoder", None)
    samples = {what: list(rows.sample.values()) for what, rows in found.items() if rows}
    for what, texts in samples.items():
        report.measured[what]["tokens"] = lengths(texts, folder, limit)
        rows = found[what]
        if rows and rows.huge:
            report.measured[what] |= {"huge": rows.huge, "longest_characters": rows.longest}
    if not (documents := found["documents"]):
        return
    distinct = len(documents.canonical)
    sources = 2 if settings.encoder else 1
    positives = report.measured.get("positives", {}).get("distinct", 0)
    pairs = mined * sources * min(settings.top_k, distinct) + positives
    report.estimates |= sizes(samples["documents"], len(documents), distinct, pairs, dimension)
    threads = settings.cpu_threads
    report.estimates["peak_ram_bytes"] = memory(len(documents), weights, threads)
    if mined:
        report.estimates["cross_encoder_pairs"] = pairs
    if settings.encoder and settings.faiss != EXACT:
        with _reported(report):
            check_faiss(settings.faiss, _encoder(settings), distinct, threads)
    if settings.calibrate:
        _time(report, settings, samples, distinct, pairs)


@contextmanager
def _reported(report: Report) -> Iterator[None]:
    """Report an error, and go on."""
    try:
        yield
    except HnmineError as error:
        report.fault(error)


def _encoder(settings: ValidateSettings) -> ModelSpec:
    assert settings.encoder is not None
    return ModelSpec.find(settings.encoder, use="encoder", **settings.model_use)


def _time(
    report: Report, settings: ValidateSettings, samples: Samples, documents: int, pairs: int
) -> None:
    threads = settings.cpu_threads
    with _reported(report):
        if settings.encoder:
            rate = encode_rate(_encoder(settings), samples["documents"], threads, "document")
            report.estimates["encode_seconds"] = documents / rate
        if settings.cross_encoder and "queries" in samples and pairs:
            spec = ModelSpec.find(
                settings.cross_encoder, use="cross-encoder", device=settings.device
            )
            rate = score_rate(spec, samples["queries"], samples["documents"], threads)
            report.estimates["cross_encoder_seconds"] = pairs / rate
