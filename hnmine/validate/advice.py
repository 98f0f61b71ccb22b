"""Warnings: a run would succeed, but the inputs may be wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hnmine.config import ValidateSettings
from hnmine.validate.findings import Report
from hnmine.validate.input_checks import HUGE

MANY = 0.01
"""Share of the documents from which on copies and cut texts are warned of."""


def advise(report: Report, settings: ValidateSettings, examples: Mapping[str, str]) -> None:
    """Add warnings to a report."""
    _copies(report, examples)
    _joins(report)
    for what in ("documents", "queries"):
        tokens = report.measured.get(what, {}).get("tokens", {})
        if huge := report.measured.get(what, {}).get("huge"):
            longest = report.measured[what]["longest_characters"]
            report.warn(
                f"{huge:,} of the {what} {'has' if huge == 1 else 'have'} more than {HUGE:,} "
                f"characters; the longest has {longest:,}.",
                why="A model reads the start alone. BM25 sees all of it, and finds it for "
                "nearly every query.",
                fix="Split them into passages, or leave them out if they are there by mistake.",
            )
        if tokens.get("cut_share", 0) >= MANY:
            report.warn(
                f"{tokens['cut_share']:.1%} of the {what} are longer than the "
                f"{tokens['limit']:,} tokens that the encoder takes.",
                why="What follows is not encoded; BM25 sees it.",
                fix="Split them into passages, or raise --max-length if the model allows it.",
            )
    documents = report.measured.get("documents", {}).get("distinct_texts")
    if documents and documents <= settings.top_k:
        report.warn(
            f"--top-k {settings.top_k} takes in all of the {documents:,} documents.",
            fix="Lower it: negatives from far down the list are easy ones.",
        )
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if (need := report.estimates.get("peak_ram_bytes", 0)) > there:
        report.warn(
            f"About {need / 1e9:,.0f} GB of memory are needed; this machine has "
            f"{there / 1e9:,.0f} GB.",
            fix="Take a larger machine, or fewer --threads.",
        )


def _copies(report: Report, examples: Mapping[str, str]) -> None:
    documents = report.measured.get("documents", {})
    if documents.get("exact_copies_share", 0) >= MANY:
        report.warn(
            f"{documents['exact_copies_share']:.1%} of the documents are copies of another.",
            why=examples["exact copies"],
            fix="Copies are indexed once, and a copy of a positive is never a negative.",
        )
    if documents.get("near_copies_share", 0) >= MANY:
        report.warn(
            f"{documents['near_copies_share']:.1%} of the distinct documents are near copies: "
            "of the shorter text, 90% or more stands word for word in the other.",
            why=examples["near copies"],
            fix="`hnmine filter --near-copy` keeps near copies of positives out of the negatives.",
        )


def _joins(report: Report) -> None:
    queries, positives = report.measured.get("queries", {}), report.measured.get("positives", {})
    if positives.get("pairs") and (without := queries["without_positive"]):
        report.warn(
            f"{without:,} of {queries['rows']:,} queries have no positive.",
            fix="They are not mined for. Check --min-grade if that is unexpected.",
        )
    if same := positives.get("same_text_as_their_query", 0):
        report.warn(
            f"{same:,} positives are the same text as their query.",
            fix="Leave them out: they teach nothing.",
        )
    if positives.get("pairs") and "documents" not in report.measured:
        report.warn(
            "Whether the judged documents exist was not checked.",
            fix="Pass --corpus too.",
        )
    if added := report.measured.get("documents", {}).get("positives_not_in_the_corpus", 0):
        report.warn(
            f"{added:,} positives are not in the corpus.",
            fix="Pass --pairs to `hnmine build-index`, which adds them.",
        )
