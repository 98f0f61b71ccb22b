"""The page of a report: one HTML file that asks nothing of any network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from markupsafe import Markup

from hnmine.audit.estimate import Audit, how_to_judge, in_words
from hnmine.directories.mined import Mined
from hnmine.printable import shell
from hnmine.report import figures, marks
from hnmine.report.comparing import Comparison
from hnmine.report.facts import Facts, Histogram
from hnmine.report.highlight import Matcher
from hnmine.report.templates import script, template
from hnmine.report.verdict import Verdict, filter_command


def page(
    mined: Mined, facts: Facts, audit: Audit, verdict: Verdict, compared: Comparison | None
) -> str:
    """Return the page.

    Args:
        mined: the directory.
        facts: to show.
        audit: judgements, where there are some.
        verdict: what a reader must know first.
        compared: this directory with others; None for no such section.
    """
    code, policy = script("page.js")
    name = PurePath(facts.path).name
    sheet = f"{name or 'mined'}-marks.csv"
    return template("page.html.j2").render(
        facts=facts,
        name=name or facts.path,
        verdict=verdict,
        audit=audit,
        in_words=in_words,
        needs_judgements=how_to_judge(audit.mined),
        distributions=list(_distributions(facts)),
        figures=figures,
        split=Matcher.of(mined).split,
        compared=compared,
        reasons=list(dict.fromkeys(one.reason for one in facts.examples)),
        sources=sorted({source for one in facts.examples for source in one.sources}),
        row=marks.row,
        header=marks.HEADER,
        sheet=sheet,
        uses=list(_uses(mined, sheet)),
        script=code,
        script_policy=policy,
    )


def _uses(mined: Mined, sheet: str) -> Iterator[tuple[str, str]]:
    """Yield what the sheet of marks is for, and the command that reads it."""
    if again := filter_command(mined, sheet, "-marked"):
        yield "Filter again by the marks", again
    yield "Count the marks", shell(["hnmine", "report", mined.path, "--verdicts", sheet])
    yield "Judge more", shell(["hnmine", "review", mined.path, "--sheet", sheet])


def _distributions(facts: Facts) -> list[tuple[str, Markup, Histogram]]:
    titles: list[tuple[str, Histogram | None]] = [
        *((f"Scores: {one.name}", one) for one in facts.scores),
        ("Margins: score of the positive minus score of the candidate", facts.margins),
        ("Ranks among the query's candidates", facts.ranks),
        ("Lengths in characters", facts.lengths),
        ("Relevance: a higher score is more doubtful as a negative", facts.relevance),
    ]
    return [(title, figures.distribution(one), one) for title, one in titles if one is not None]
