"""How many negatives several mined directories share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hnmine.directories.scored_view import ScoredView

_CHOSEN = "select query_id, doc_id, {bit}::bigint as who from {table} where selected"
_ASKED = "select distinct query_id, {bit}::bigint as who from {table}"


@dataclass(frozen=True)
class Overlap:
    """What directories share; queries and documents are the same where their ids are.

    Attributes:
        queries: number of query ids that each two share, shape (directories, directories).
        in_all: number of query ids that all share.
        negatives: of the negatives of a directory on queries that it shares with another, the share
            that the other chose too; by directory, then by the other one. None without such a
            negative.
    """

    queries: list[list[int]]
    in_all: int
    negatives: list[list[float | None]]


def overlap(views: Sequence[ScoredView]) -> Overlap:
    """Return what mined directories share.

    DuckDB counts the pairs by the set of directories that chose them, a bit for each, so that only
    a few counts are read.
    """
    first = views[0]
    for number, view in enumerate(views):
        first.attach(view, f"compared_{number}")
    bits = range(len(views))
    first.ask(f"create temp table chosen_by as {_by_set(_CHOSEN, bits)}")
    first.ask(f"create temp table asked_by as {_by_set(_ASKED, bits)}")
    pairs = first.ask(
        "select c.who, a.who, count(*) from chosen_by c join asked_by a using (query_id) "
        "group by all"
    )
    asked = first.ask("select who, count(*) from asked_by group by who")
    for table in ("chosen_by", "asked_by"):
        first.ask(f"drop table {table}")
    everyone = 2 ** len(views) - 1
    return Overlap(
        [[_counted(asked, 1 << one | 1 << other) for other in bits] for one in bits],
        _counted(asked, everyone),
        [[_share(pairs, 1 << one, 1 << other) for other in bits] for one in bits],
    )


def _by_set(select: str, bits: range) -> str:
    """Return SQL that groups rows of all directories by id, and ors the directories' bits."""
    every = " union all ".join(select.format(bit=1 << n, table=f"compared_{n}") for n in bits)
    ids = "query_id, doc_id" if select is _CHOSEN else "query_id"
    return f"select {ids}, bit_or(who) as who from ({every}) group by {ids}"


def _counted(asked: Sequence[tuple[int, int]], members: int) -> int:
    return sum(count for who, count in asked if who & members == members)


def _share(pairs: Sequence[tuple[int, int, int]], one: int, other: int) -> float | None:
    own = [(who, count) for who, asked, count in pairs if who & one and asked & other]
    total = sum(count for _, count in own)
    both = sum(count for who, count in own if who & other)
    return both / total if total else None
