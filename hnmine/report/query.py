"""Look up single queries with all their candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import pyarrow.compute as pc

from hnmine.directories.mined import Mined
from hnmine.directories.scored_view import (
    DROPPED,
    MARGIN,
    NEGATIVE,
    POSITIVE,
    ScoredView,
    quoted,
)
from hnmine.errors import InputError, UsageError
from hnmine.inputs.texts import Texts
from hnmine.names import rank_of
from hnmine.printable import without_nan
from hnmine.ragged import Ints
from hnmine.report.facts import Document
from hnmine.report.margin_examples import document
from hnmine.results import Json

TEXTS_AT_ONCE = 8192


@dataclass(frozen=True)
class Judged:
    """A candidate or positive of a query.

    Attributes:
        document: its id, text, scores and rank.
        fate: `positive`, `negative`, `kept` or `dropped`; None for the query itself.
        reason: the rule that dropped it; None if it was not dropped.
        ranks: its rank in the list of each source that found it.
        margin: score of the positive minus its own; None if unknown.
        relevance: score of its doubt: higher is more like a positive; None if unknown.
    """

    document: Document
    fate: str | None
    reason: str | None
    ranks: dict[str, int]
    margin: float | None
    relevance: float | None


@dataclass(frozen=True)
class Query:
    """A query with its positives, then its candidates by rank."""

    query_id: str
    text: str | None
    documents: list[Judged]

    def as_json(self) -> Json:
        """Return everything as JSON values; an unknown number is null."""
        found: Json = without_nan(asdict(self))
        return found


def by_ids(ids: Sequence[str], scored: ScoredView) -> list[str]:
    """Return the ids.

    Raises:
        InputError: the directory holds no query of an id.
    """
    sql = "select distinct query_id from scored where list_contains(?, query_id)"
    there = {found for (found,) in scored.ask(sql, list(ids))}
    for query_id in ids:
        if query_id not in there:
            example = scored.ask("select query_id from scored limit 1")
            hint = f"Ids look like {example[0][0]!r}. " if example else ""
            raise InputError(
                f"There is no query {query_id!r} in {scored.mined.path}.",
                why="No candidate was mined for it.",
                fix=f"{hint}--text finds a query by its words.",
            )
    return list(ids)


def by_text(text: str, mined: Mined, limit: int) -> list[str]:
    """Return the ids of queries that contain a text, in any case; the shortest query first.

    Raises:
        InputError: no query contains it, or the texts cannot be read.
    """
    if mined.texts is None:
        raise InputError(
            "The queries' texts cannot be read.",
            why=mined.no_texts,
            fix="Pass --candidates and --index, or name the query with --query ID.",
        )
    queries = mined.texts.queries
    found = sorted(_holding(text, queries.texts, queries.mined))
    if not found:
        raise InputError(
            f"No query contains {text!r}.", fix="Pass fewer words of the query, in their order."
        )
    return [query_id for _, query_id in found[:limit]]


def _holding(text: str, texts: Texts, rows: Ints) -> Iterator[tuple[int, str]]:
    """Yield the length and the id of each query that contains a text."""
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        some = rows[start : start + TEXTS_AT_ONCE]
        array = texts.text_array(some)
        holds = pc.match_substring(array, text, ignore_case=True)
        ids = texts.id_array(some).filter(holds).to_pylist()
        yield from zip(pc.utf8_length(array.filter(holds)).to_pylist(), ids, strict=True)


def by_reason(reason: str, scored: ScoredView, limit: int) -> list[str]:
    """Return the ids of the queries that lost most candidates to a rule.

    Raises:
        UsageError: the rule dropped no candidate.
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
        known = ", ".join(name for (name,) in there) or "none"
        raise UsageError(
            f"No candidate was dropped for the reason {reason!r}.",
            why=f"Reasons in {scored.mined.path}: {known}.",
            fix="Pass one of these reasons.",
        )
    return [query_id for (query_id,) in found]


def worst(scored: ScoredView, count: int) -> list[str]:
    """Return the ids of the queries with the most doubtful negatives.

    They are sorted by the highest relevance of a negative, else by the smallest margin.
    """
    found = scored.ask(
        f"select query_id from scored where kind = '{NEGATIVE}' group by query_id "
        f"order by max(relevance) desc nulls last, min({MARGIN}), query_id limit ?",
        count,
    )
    return [query_id for (query_id,) in found]


def look_up(
    ids: Sequence[str], scored: ScoredView, characters: int, reason: str | None = None
) -> Iterator[Query]:
    """Yield queries with their documents.

    Args:
        ids: of queries in the directory.
        scored: the view of the directory.
        characters: length of a document's text, at most.
        reason: show the positives and the candidates that this rule dropped; None for all.
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
                row["relevance"],
            )
            for row in rows
            if reason is None or row["reason"] == reason or row["kind"] == POSITIVE
        ]
        yield Query(query_id, scored.mined.query_text(query_id), shown)
