"""`hnmine inspect`: single queries, their positives and all their candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType

from hnmine.config import InspectSettings
from hnmine.printable import one_line
from hnmine.report.highlight import Matcher
from hnmine.report.query import Query, by_ids, by_reason, by_text, look_up, worst
from hnmine.report.scored import Scored
from hnmine.report.show import show
from hnmine.results import Result


@dataclass(frozen=True, repr=False)
class Inspected(Result):
    """What `hnmine inspect` found; rich can print it.

    Attributes:
        queries: in the order to show.
        matcher: finds the words of a query in a text.
        note: what cannot be shown; empty if nothing.
    """

    queries: list[Query]
    matcher: Matcher
    note: str

    def as_json(self) -> dict[str, Any]:
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
            yield from show(query, self.matcher, marked=not console.is_terminal)
        if self.note:
            yield one_line(self.note)


def inspect(settings: InspectSettings) -> Inspected:
    """Look up the queries that are asked for.

    Raises:
        HnmineError: the directory cannot be used, or nothing is there that was asked for.
    """
    with Scored.open(
        settings.mined, settings.candidates, settings.index, settings.cpu_threads
    ) as scored:
        ids = _ids(settings, scored)
        found = list(look_up(ids, scored, settings.characters, settings.reason))
        note = f"Without texts: {scored.no_texts}" if scored.no_texts else ""
        if not found:
            note = "No query has a negative."
        return Inspected(found, Matcher.of(scored), note)


def _ids(settings: InspectSettings, scored: Scored) -> list[str]:
    if settings.query:
        return by_ids(settings.query, scored)
    if settings.text is not None:
        return by_text(settings.text, scored, settings.limit)
    if settings.reason is not None:
        return by_reason(settings.reason, scored, settings.limit)
    return worst(scored, settings.worst or 1)
