"""Single queries for a terminal: in colours and bold, or with stars where it goes to a file."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from hnmine.printable import one_line
from hnmine.report.facts import DROPPED, KEPT, NEGATIVE, POSITIVE
from hnmine.report.highlight import Matcher
from hnmine.report.query import Judged, Query
from hnmine.report.scored import clean
from hnmine.report.terminal import number

STYLES = {POSITIVE: "bold blue", NEGATIVE: "bold yellow", KEPT: "green", DROPPED: "magenta"}
MATCH = "bold underline"
INDENT = 4


def show(query: Query, matcher: Matcher, *, marked: bool) -> Iterator[RenderableType]:
    """Yield what rich prints of a query.

    Args:
        query: with its documents.
        matcher: finds the words of the query in a text.
        marked: put stars around them, as nothing is bold where the output goes.
    """
    yield Text(clean(query.text or "text not available"), "bold")
    yield Text(f"query {clean(query.query_id)}", "dim")
    for judged in query.documents:
        yield Text("")
        yield _verdict(judged)
        pieces = matcher.split(judged.document.text, query.text)
        words = ((f"*{piece}*" if hit and marked else piece, hit) for piece, hit in pieces)
        text = Text.assemble(*((word, MATCH if hit else "") for word, hit in words))
        yield Padding(text, (0, 0, 0, INDENT))
        yield Padding(Text(one_line(_facts(judged)), "dim"), (0, 0, 0, INDENT))
    yield Text("")


def _verdict(judged: Judged) -> Text:
    fate = judged.fate or "the query"
    says = f"{fate}: {judged.reason}" if judged.reason and fate == DROPPED else fate
    return Text.assemble(
        (one_line(says), STYLES.get(fate, "")), "  ", clean(judged.document.doc_id)
    )


def _facts(judged: Judged) -> str:
    """Write rank, scores, and which source found it at which rank of its own."""
    found = judged.document
    facts = [f"rank {found.rank}"] if found.rank is not None else []
    facts += [f"{name.removesuffix('_score')} {number(x)}" for name, x in found.scores.items()]
    if judged.fate != POSITIVE:
        facts += [f"margin {number(judged.margin)}", f"p_relevant {number(judged.p_relevant)}"]
    ranks = ", ".join(f"{source} at {rank}" for source, rank in judged.ranks.items())
    return "  ".join([*facts, f"found by {ranks}"] if ranks else facts)
