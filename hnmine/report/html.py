"""The facts of a report as one page that needs nothing else: no network, no script."""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import Any

import jinja2
from markupsafe import Markup, escape

from hnmine.printable import one_line
from hnmine.report import figures
from hnmine.report.facts import Facts, Histogram
from hnmine.report.highlight import Matcher
from hnmine.report.notes import notes
from hnmine.report.terminal import likely_false, number, percent


def page(facts: Facts, matcher: Matcher) -> str:
    """Return the page.

    Args:
        facts: what it says.
        matcher: finds the words of a query in a text.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hnmine", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "setting": _setting,
        "flags": _flags,
    }
    return environment.get_template("page.html.j2").render(
        facts=facts,
        name=PurePath(facts.path).name or facts.path,
        notes=list(notes(facts)),
        likely_false=likely_false(facts),
        distributions=list(_distributions(facts)),
        figures=figures,
        split=matcher.split,
    )


def _distributions(facts: Facts) -> list[tuple[str, Markup, Histogram]]:
    """Return title, figure and numbers of every distribution there is."""
    titles: list[tuple[str, Histogram | None]] = [
        *((f"Scores: {one.name}", one) for one in facts.scores),
        ("Margins: score of the positive minus score of the candidate", facts.margins),
        ("Ranks among the query's candidates", facts.ranks),
        ("Lengths in characters", facts.lengths),
        ("Estimated chance of being relevant", facts.chances),
    ]
    return [(title, figures.distribution(one), one) for title, one in titles if one is not None]


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _flags(text: str) -> Markup:
    """Mark the flags in a text as code that is not broken behind its dashes."""
    return Markup(re.sub(r"(--[a-z-]+)", r'<code class="flag">\1</code>', str(escape(text))))


def _shown(value: Any) -> Any:
    """Return what a page shows of a value: nothing in an id or a name turns its text round."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
