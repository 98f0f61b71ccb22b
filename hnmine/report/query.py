"""Single queries with all that was considered for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc

from hnmine.errors import InputError, UsageError
from hnmine.inputs.texts import Texts
from hnmine.names import rank_of
from hnmine.printable import without_nan
from hnmine.report.facts import DROPPED, NEGATIVE, POSITIVE, Document
from hnmine.report.margin_examples import document
from hnmine.report.scored import MARGIN, Scored, quoted

TEXTS_AT_ONCE = 8192


@dataclass(frozen=True)
class Judged:
    """A document that was considered for a query.

    Attributes:
        document: its id, text, scores and rank.
        fate: `positive`, `negative`, `kept`, `dropped`; None for the query itself.
        reason: why it was dropped; None if it was not.
        ranks: by source.
        margin: score of the positives minus its own; None if unknown.
        p_relevant: estimated chance that it is relevant; None if unknown.
    """

    document: Document
    fate: str | None
    reason: str | None
    ranks: dict[str, int]
    margin: float | None
    p_relevant: float | None


@dataclass(frozen=True)
class Query:
    """A query: its id, its text, its positives, then its candidates by rank."""

    query_id: str
    text: str | None
    documents: list[Judged]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values; what is unknown is null."""
        found: dict[str, Any] = without_nan(asdict(self))
        return found


def by_ids(ids: Sequence[str], scored: Scored) -> list[str]:
    """Return the ids, if all of them are there.

    Raises:
        InputError: one is not.
    """
    sql = "select distinct query_id from scored where list_contains(?, query_id)"
    there = {found for (found,) in scored.ask(sql, list(ids))}
    for query_id in ids:
        if query_id not in there:
            example = scored.ask("select query_id from scored limit 1")
            hint = f"Ids look like {example[0][0]!r}. " if example else ""
            raise InputError(
                f"There is no query {query_id!r} in {scored.path}.",
                why="No candidate was mined for it.",
                fix=f"{hint}With --text you can look for its text.",
            )
    return list(ids)


def by_text(text: str, scored: Scored, limit: int) -> list[str]:
    """Return the ids of queries that hold a text, whatever its case; the shortest first.

    Raises:
        InputError: none does, or texts cannot be read.
    """
    if scored.texts is None:
        raise InputError(
            "The queries' texts cannot be read.",
            why=scored.no_texts,
            fix="Say where they are with --candidates and --index, or ask with --query ID.",
        )
    queries = scored.texts.queries
    found = sorted(_holding(text, queries.texts, queries.mined))
    if not found:
        raise InputError(f"No query holds {text!r}.", fix="Give fewer words of it, in their order.")
    return [query_id for _, query_id in found[:limit]]


def _holding(text: str, texts: Texts, rows: Any) -> Iterator[tuple[int, str]]:
    """Yield the length and the id of each query that holds a text."""
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        some = rows[start : start + TEXTS_AT_ONCE]
        array = texts.text_array(some)
        holds = pc.match_substring(array, text, ignore_case=True)
        ids = texts.id_array(some).filter(holds).to_pylist()
        yield from zip(pc.utf8_length(array.filter(holds)).to_pylist(), ids, strict=True)


def by_reason(reason: str, scored: Scored, limit: int) -> list[str]:
    """Return the ids of the queries that lost most candidates for a reason.

    Raises:
        UsageError: none was dropped for it.
    """
    found = scored.ask(
        f"select query_id from scored where kind = '{DROPPED}' and reason = ? "
        "group by query_id order by count(*) desc, query_id limit ?",
        reason,
        limit,
    )
    if not found:
        there = scored.ask(
            f"select reason from scored where kind = '{DROPPED}' group by reason order by reason"
        )
        raise UsageError(
            f"No candidate was dropped for the reason {reason!r}.",
            why=f"Reasons in {scored.path}: {', '.join(name for (name,) in there) or 'none'}.",
            fix="Give one of them.",
        )
    return [query_id for (query_id,) in found]


def worst(scored: Scored, count: int) -> list[str]:
    """Return the ids of the queries with most negatives that are likely false.

    By the sum of p_relevant over the chosen negatives, else by their smallest margin.
    """
    found = scored.ask(
        f"select query_id from scored where kind = '{NEGATIVE}' group by query_id "
        f"order by sum(p_relevant) desc nulls last, min({MARGIN}), query_id limit ?",
        count,
    )
    return [query_id for (query_id,) in found]


def look_up(
    ids: Sequence[str], scored: Scored, characters: int, reason: str | None = None
) -> Iterator[Query]:
    """Yield queries with their documents.

    Args:
        ids: of queries that are there.
        scored: where to look.
        characters: of a document's text, at most.
        reason: show, besides positives, only what was dropped for it.
    """
    ranks = [quoted(rank_of(name)) for name in scored.sources]
    for query_id in ids:
        rows = scored.rows(
            f"select *, {MARGIN} as margin from scored where query_id = ? "
            f"order by kind is distinct from '{POSITIVE}', rank nulls last, "
            f"{', '.join([*ranks, 'doc_id'])}",
            query_id,
        )
        shown = [
            Judged(
                document(scored, row, characters),
                row["kind"],
                row["reason"],
                {n: r for n in scored.sources if (r := row[rank_of(n)]) is not None},
                row["margin"],
                row["p_relevant"],
            )
            for row in rows
            if reason is None or row["reason"] == reason or row["kind"] == POSITIVE
        ]
        yield Query(query_id, scored.query(query_id), shown)
