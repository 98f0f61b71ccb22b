"""The page of a report: one HTML file without scripts or network access."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from markupsafe import Markup

from hnmine.audit.estimate import Audit, how_to_judge, in_words
from hnmine.directories.scored_view import NEGATIVE
from hnmine.report import figures
from hnmine.report.comparing import Comparison
from hnmine.report.facts import Facts, Histogram
from hnmine.report.highlight import Matcher
from hnmine.report.templates import template

MUCH_MISSING = 0.1
MUCH_OF_ONE_PERCENT = 0.1
FAR_FROM_EVEN = 0.1
MEASURES = {"length": "is longer", "BM25": "has a higher BM25 score"}
REMEDIES = {
    "length": "hnmine mine --attribute length='length(doc.text)' makes it a column for --where.",
    "BM25": "A --quota for each source, or a --where on bm25_score, evens it out.",
}


def page(facts: Facts, audit: Audit, matcher: Matcher, compared: Comparison | None) -> str:
    """Return the page.

    Args:
        facts: to show.
        audit: judgements, where there are some.
        matcher: finds the words of a query in a text.
        compared: this directory with others; None for no such section.
    """
    return template("page.html.j2").render(
        facts=facts,
        name=PurePath(facts.path).name or facts.path,
        notes=list(_notes(facts)),
        audit=audit,
        in_words=in_words,
        needs_judgements=how_to_judge(audit.mined),
        doubtful=[one for one in facts.examples if one.verdict == NEGATIVE],
        dropped=[one for one in facts.examples if one.verdict != NEGATIVE],
        distributions=list(_distributions(facts)),
        figures=figures,
        split=matcher.split,
        compared=compared,
    )


def _notes(facts: Facts) -> Iterator[str]:
    """Yield warnings about facts that may harm training."""
    missing, asked = facts.counts["negatives_missing"], facts.counts["negatives_asked"]
    if missing > MUCH_MISSING * asked:
        yield (
            f"{100 * missing / asked:.0f} % of the negatives asked for are missing. Mine deeper "
            "(--top-k, --deepen), or relax the rules."
        )
    hubness = facts.hubness
    if hubness and hubness.used >= 100 and hubness.top_share > MUCH_OF_ONE_PERCENT:
        yield (
            f"The most used 1 % of the documents make up {100 * hubness.top_share:.0f} % of the "
            "negatives. --max-uses caps how many queries share one."
        )
    for name, found in facts.shortcuts.items():
        if found.low > 0.5 + FAR_FROM_EVEN or found.high < 0.5 - FAR_FROM_EVEN:
            more, less = ("positive", "negative") if found.rate > 0.5 else ("negative", "positive")
            share = max(found.rate, 1 - found.rate)
            yield (
                f"In {100 * share:.0f} % of the pairs the {more} {MEASURES[name]} than the {less}: "
                f"a model may learn that instead of relevance. {REMEDIES[name]}"
            )


def _distributions(facts: Facts) -> list[tuple[str, Markup, Histogram]]:
    """Yield title, figure and numbers of each distribution."""
    titles: list[tuple[str, Histogram | None]] = [
        *((f"Scores: {one.name}", one) for one in facts.scores),
        ("Margins: score of the positive minus score of the candidate", facts.margins),
        ("Ranks among the query's candidates", facts.ranks),
        ("Lengths in characters", facts.lengths),
        ("Relevance: a higher score is more doubtful as a negative", facts.relevance),
    ]
    return [(title, figures.distribution(one), one) for title, one in titles if one is not None]
