"""What changes between two mined directories: negatives gained and lost, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hnmine.printable import without_nan
from hnmine.report.facts import NEGATIVE
from hnmine.report.scored import Scored
from hnmine.report.terminal import number
from hnmine.results import Result
from hnmine.runner.plan import differences

FREE, NO_CANDIDATE = "kept, not chosen", "no candidate"
MEANS = {
    "mean rank": "avg(rank)",
    "mean margin": "avg(positive_score - score)",
    "mean p_relevant": "avg(p_relevant)",
}
"""By name: an expression over the chosen negatives."""

_PAIRS = """
create temp table pairs as
select query_id, doc_id, bool_or(early) as early, bool_or(late) as late
from (
    select query_id, doc_id, true as early, false as late from scored where selected
    union all
    select query_id, doc_id, false as early, true as late from later where selected
)
group by query_id, doc_id
"""
# Only what is about a pair that differs is joined: all candidates need not fit in memory.
_STATE = f"""
select query_id, doc_id, case when keep then '{FREE}' else reason end as state
from {{}} where (query_id, doc_id) in (select (query_id, doc_id) from pairs where early <> late)
"""
_NEGATIVES = f"""
create temp table negatives as
select query_id,
    case when early then '{NEGATIVE}' else coalesce(one.state, '{NO_CANDIDATE}') end as was,
    case when late then '{NEGATIVE}' else coalesce(other.state, '{NO_CANDIDATE}') end as is_now
from pairs
left join ({_STATE.format("scored")}) as one using (query_id, doc_id)
left join ({_STATE.format("later")}) as other using (query_id, doc_id)
"""
_QUERIES = """
select count(*), count(*) filter (where changed)
from (select bool_or(was <> is_now) as changed from negatives group by query_id)
"""
_MOST = f"""
select query_id, count(*) filter (where is_now = '{NEGATIVE}') as gained,
    count(*) filter (where was = '{NEGATIVE}') as lost
from negatives where was <> is_now group by query_id order by count(*) desc, query_id limit ?
"""


@dataclass(frozen=True, repr=False)
class Changes(Result):
    """What differs between two mined directories.

    Attributes:
        before, after: the directories.
        same_candidates: whether both were made from the same.
        settings: what differs in the plans, `key: before -> after`.
        counts: by count: before, after; those that differ.
        means: by name, over the negatives: before, after.
        same: negatives that are in both.
        gained: by what they were before: negatives of `after` alone.
        lost: by what they are after: negatives of `before` alone.
        queries: in either; changed: those of them whose negatives are not the same.
        most: by query: gained, lost; those with most of both.
    """

    before: str
    after: str
    same_candidates: bool
    settings: list[str]
    counts: dict[str, tuple[int, int]]
    means: dict[str, tuple[float | None, float | None]]
    same: int
    gained: dict[str, int]
    lost: dict[str, int]
    queries: int
    changed: int
    most: dict[str, tuple[int, int]]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values; what is unknown is null."""
        found: dict[str, Any] = without_nan(asdict(self))
        return found

    def lines(self) -> Iterator[str]:
        """Write the changes for a terminal."""
        yield f"{self.before} -> {self.after}"
        if not self.same_candidates:
            yield (
                "Their candidates differ: what is lost or gained may be so for what was mined, "
                "not for how it was filtered."
            )
        yield from (f"  {difference}" for difference in self.settings)
        yield ""
        yield from self._negatives()
        yield ""
        pairs = {_named(name): pair for name, pair in (self.counts | self.means).items()}
        width = max(map(len, pairs), default=0)
        yield f"  {'':<{width}}{'before':>12}{'after':>12}"
        for name, pair in pairs.items():
            cells = (f"{x:,}" if isinstance(x, int) else number(x) for x in pair)
            yield f"  {name:<{width}}" + "".join(f"{cell:>12}" for cell in cells)
        if self.most:
            yield ""
            yield "queries that changed most"
            for query, (gained, lost) in self.most.items():
                yield f"  {query:<24} +{gained} -{lost}"

    def _negatives(self) -> Iterator[str]:
        """Write what was gained and lost, and for what reasons."""
        rows = [("negatives", self.same, " the same")]
        rows += [(f"  + was {kind}", count, "") for kind, count in self.gained.items()]
        rows += [(f"  - is now {kind}", count, "") for kind, count in self.lost.items()]
        rows.append(("queries", self.changed, f" of {self.queries:,} changed"))
        width = max(len(name) for name, _, _ in rows)
        yield from (f"{name:<{width}}{count:>12,}{more}" for name, count, more in rows)


def _named(count: str) -> str:
    """Write the name of a count; a reason may be an expression, and stays as it is."""
    if count.startswith("dropped_"):
        return "dropped: " + count.removeprefix("dropped_")
    return count.replace("_", " ")


def changes(before: Path, after: Path, most: int, threads: int) -> Changes:
    """Compare two mined directories.

    Args:
        before: what `hnmine filter` wrote.
        after: what it wrote with other settings.
        most: queries to name.
        threads: for SQL.

    Raises:
        InputError: one is not a finished mined directory.
    """
    with (
        Scored.open(before, None, None, threads) as one,
        Scored.open(after, None, None, threads) as other,
    ):
        one.attach(other, "later")
        for statement in (_PAIRS, _NEGATIVES):
            one.ask(statement)
        queries, changed = one.ask(_QUERIES)[0]
        return Changes(
            before=str(before),
            after=str(after),
            same_candidates=one.manifest["candidates"] == other.manifest["candidates"],
            settings=differences(*(_plan(scored) for scored in (one, other))),
            counts=_counts(one, other),
            means=_means(one),
            same=one.ask("select count(*) from negatives where was = is_now")[0][0],
            gained=_reasons(one, "was"),
            lost=_reasons(one, "is_now"),
            queries=queries,
            changed=changed,
            most={query: (gained, lost) for query, gained, lost in one.ask(_MOST, most)},
        )


def _plan(scored: Scored) -> dict[str, Any]:
    return {key: value for key, value in scored.manifest.items() if key != "counts"}


def _counts(one: Scored, other: Scored) -> dict[str, tuple[int, int]]:
    before, after = one.manifest["counts"], other.manifest["counts"]
    pairs = {name: (before.get(name, 0), after.get(name, 0)) for name in {**before, **after}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _means(one: Scored) -> dict[str, tuple[float | None, float | None]]:
    select = f"select {', '.join(MEANS.values())} from"
    before, after = (one.ask(f"{select} {t} where selected")[0] for t in ("scored", "later"))
    return dict(zip(MEANS, zip(before, after, strict=True), strict=True))


def _reasons(one: Scored, column: str) -> dict[str, int]:
    return dict(
        one.ask(
            f"select {column}, count(*) from negatives where was <> is_now "
            f"and {column} <> '{NEGATIVE}' group by all order by count(*) desc, {column}"
        )
    )
