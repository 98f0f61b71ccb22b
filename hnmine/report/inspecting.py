"""`hnmine inspect`: single queries, their positives and all their candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.text import Text

from hnmine.config import InspectSettings
from hnmine.directories.mined import Mined
from hnmine.directories.scored_view import DROPPED, KEPT, NEGATIVE, POSITIVE, ScoredView
from hnmine.printable import clean, one_line
from hnmine.report.highlight import Matcher
from hnmine.report.query import Judged, Query, by_ids, by_reason, by_text, look_up, worst
from hnmine.report.terminal import number
from hnmine.results import Json, Result

STYLES = {POSITIVE: "bold blue", NEGATIVE: "bold yellow", KEPT: "green", DROPPED: "magenta"}
MATCH = "bold underline"
INDENT = 4


@dataclass(frozen=True, repr=False)
class Inspected(Result):
    """The result of `hnmine inspect`; rich can print it.

    Attributes:
        queries: in the order to show.
        matcher: finds the words of a query in a text.
        note: what cannot be shown; empty if everything can.
    """

    queries: list[Query]
    matcher: Matcher
    note: str

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        return {"queries": [query.as_json() for query in self.queries]}

    def lines(self) -> list[str]:
        """Write what rich prints, without colours."""
        console = Console(width=100, color_system=None, highlight=False, markup=False, emoji=False)
        with console.capture() as text:
            console.print(self)
        return [line.rstrip() for line in text.get().splitlines()]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield what rich prints."""
        for query in self.queries:
            yield from _show(query, self.matcher, marked=not console.is_terminal)
        if self.note:
            yield one_line(self.note)


def inspect(settings: InspectSettings) -> Inspected:
    """Look up the queries that are asked for.

    Raises:
        HnmineError: the directory cannot be used, or it holds no such query.
    """
    mined = Mined(settings.mined, settings.candidates, settings.index)
    with mined.sql(settings.cpu_threads) as scored:
        ids = _ids(settings, scored)
        found = list(look_up(ids, scored, settings.characters, settings.reason))
        note = f"Without texts: {mined.no_texts}" if mined.no_texts else ""
        if not found:
            note = "No query has a negative."
        return Inspected(found, Matcher.of(mined), note)


def _ids(settings: InspectSettings, scored: ScoredView) -> list[str]:
    if settings.query:
        return by_ids(settings.query, scored)
    if settings.text is not None:
        return by_text(settings.text, scored.mined, settings.limit)
    if settings.reason is not None:
        return by_reason(settings.reason, scored, settings.limit)
    return worst(scored, settings.worst or 1)


def _show(query: Query, matcher: Matcher, *, marked: bool) -> Iterator[RenderableType]:
    """Yield what rich prints of a query.

    Args:
        query: with its documents.
        matcher: finds the words of the query in a text.
        marked: put stars around these words, as a file shows nothing in bold.
    """
    yield Text(clean(query.text or "text not available"), "bold")
    yield Text(f"query {clean(query.query_id)}", "dim")
    shown = _to_the_last_negative(query.documents)
    for judged in shown:
        yield Text("")
        yield _verdict(judged)
        pieces = matcher.split(judged.document.text, query.text)
        words = ((f"*{piece}*" if hit and marked else piece, hit) for piece, hit in pieces)
        text = Text.assemble(*((word, MATCH if hit else "") for word, hit in words))
        yield Padding(text, (0, 0, 0, INDENT))
        yield Padding(Text(one_line(_facts(judged)), "dim"), (0, 0, 0, INDENT))
    if rest := len(query.documents) - len(shown):
        yield Text("")
        below = "candidate" if rest == 1 else "candidates"
        yield Text(f"{rest} {below} ranked below the last negative: see --json", "dim")
    yield Text("")


def _to_the_last_negative(documents: list[Judged]) -> list[Judged]:
    """Return the documents down to the last negative: those below it decide nothing."""
    places = [place for place, judged in enumerate(documents) if judged.fate == NEGATIVE]
    return documents[: places[-1] + 1] if places else documents


def _verdict(judged: Judged) -> Text:
    fate = judged.fate or "the query"
    says = f"{fate}: {judged.reason}" if judged.reason and fate == DROPPED else fate
    return Text.assemble(
        (one_line(says), STYLES.get(fate, "")), "  ", clean(judged.document.doc_id)
    )


def _facts(judged: Judged) -> str:
    """Return rank, scores, and the rank in the list of each source that found the document."""
    found = judged.document
    facts = [f"rank {found.rank}"] if found.rank is not None else []
    facts += [f"{name.removesuffix('_score')} {number(x)}" for name, x in found.scores.items()]
    if judged.fate != POSITIVE:
        facts += [f"margin {number(judged.margin)}", f"relevance {number(judged.relevance)}"]
    ranks = ", ".join(f"{source} at {rank}" for source, rank in judged.ranks.items())
    return "  ".join([*facts, f"found by {ranks}"] if ranks else facts)
