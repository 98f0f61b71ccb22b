"""Single queries for a terminal: colours where it has them, marks where it has not."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hnmine.report.facts import DROPPED, KEPT, NEGATIVE, POSITIVE
from hnmine.report.highlight import Matcher
from hnmine.report.query import Judged, Query
from hnmine.report.scored import clean
from hnmine.report.terminal import number

STYLES = {POSITIVE: "bold blue", NEGATIVE: "bold yellow", KEPT: "green", DROPPED: "magenta"}
MATCH = "bold underline"
INDENT = 4


def show(query: Query, matcher: Matcher) -> RenderableType:
    """Return a query as something that rich can print."""
    title = Text.assemble((clean(query.text or "text not available"), "bold"))
    return Group(title, Text(f"query {clean(query.query_id)}", "dim"), *_documents(query, matcher))


def _documents(query: Query, matcher: Matcher) -> Iterator[RenderableType]:
    for judged in query.documents:
        yield Text("")
        yield _verdict(judged)
        pieces = matcher.split(judged.document.text, query.text)
        text = Text.assemble(*((piece, MATCH if hit else "") for piece, hit in pieces))
        yield Padding(text, (0, 0, 0, INDENT))
    yield Text("")


def _verdict(judged: Judged) -> Text:
    """Return one line: what became of a document, its id, its scores, its ranks."""
    found = judged.document
    fate = judged.fate or "the query"
    says = f"{fate}: {judged.reason}" if judged.reason and fate == DROPPED else fate
    facts = [f"rank {found.rank}"] if found.rank is not None else []
    facts += [f"{name.removesuffix('_score')} {number(x)}" for name, x in found.scores.items()]
    if judged.margin is not None and fate != POSITIVE:
        facts.append(f"margin {number(judged.margin)}")
    if judged.p_relevant is not None and fate != POSITIVE:
        facts.append(f"p {number(judged.p_relevant)}")
    ranks = ", ".join(f"{source} #{rank}" for source, rank in judged.ranks.items())
    return Text.assemble(
        (says, STYLES.get(fate, "")),
        "  ",
        clean(found.doc_id),
        (f"  {'  '.join(facts)}{f'  found by {ranks}' if ranks else ''}", "dim"),
    )
