"""What stands out in the facts, in words, with what could be done about it."""

from __future__ import annotations

from collections.abc import Iterator

from hnmine.report.facts import Facts

MUCH_MISSING = 0.1
MUCH_OF_ONE_PERCENT = 0.1
FAR_FROM_EVEN = 0.1
MANY_FALSE = 0.05
MEASURES = {"length": "is longer", "BM25": "has a higher BM25 score"}
REMEDIES = {
    "length": "hnmine mine --attribute length='length(doc.text)' makes it a column for --where.",
    "BM25": "A --quota for each source, or a --where on bm25_score, evens it out.",
}


def notes(facts: Facts) -> Iterator[str]:
    """Say what in the facts may do harm in training."""
    missing, asked = facts.counts["negatives_missing"], facts.counts["negatives_asked"]
    if missing > MUCH_MISSING * asked:
        yield (
            f"{100 * missing / asked:.0f} % of the negatives asked for are missing. Mine deeper "
            "(--top-k, --deepen), or drop less."
        )
    if facts.estimate is None:
        yield (
            "The share of false negatives is unknown, as no p_relevant was learned. "
            "`hnmine review` draws negatives to judge."
        )
    elif facts.estimate.rate > MANY_FALSE:
        yield (
            f"{100 * facts.estimate.rate:.1f} % of the negatives are likely relevant. "
            "A stricter margin, --max-p-relevant or --target-fn-rate drops more of them."
        )
    if facts.hardness and facts.hardness.verdict != "useful":
        yield " ".join(facts.hardness.sentences())
    hubness = facts.hubness
    if hubness and hubness.used >= 100 and hubness.top_share > MUCH_OF_ONE_PERCENT:
        yield (
            f"The most used 1 % of the documents make {100 * hubness.top_share:.0f} % of the "
            "negatives. --max-uses caps that."
        )
    for name, found in facts.shortcuts.items():
        if found.low > 0.5 + FAR_FROM_EVEN or found.high < 0.5 - FAR_FROM_EVEN:
            more, less = ("positive", "negative") if found.rate > 0.5 else ("negative", "positive")
            share = max(found.rate, 1 - found.rate)
            yield (
                f"In {100 * share:.0f} % of the pairs the {more} {MEASURES[name]} than the {less}: "
                f"a model can learn that instead of relevance. {REMEDIES[name]}"
            )
