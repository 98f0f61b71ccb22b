"""The negatives that one of two mined directories gains and loses, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hnmine.directories.mined import Mined
from hnmine.directories.scored_view import NEGATIVE, ScoredView
from hnmine.printable import aligned, fitted
from hnmine.report.terminal import number
from hnmine.results import Json, Result
from hnmine.runner.plan import differences

FREE, NO_CANDIDATE = "kept, not chosen", "no candidate"
MEANS = {
    "mean margin": "avg(positive_score - score)",
    "mean relevance": "avg(relevance)",
}
"""By name: an SQL expression over the chosen negatives."""

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
# Only rows of pairs that differ are joined: the candidates need not fit in memory.
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
    """The differences between two mined directories.

    Attributes:
        before, after: the directories.
        same_candidates: whether both were filtered from the same candidates.
        settings: those that differ, `key: before -> after`.
        counts: those that differ: before, after.
        means: over the negatives, by name: before, after.
        same: number of negatives in both.
        gained: number of negatives in `after` alone, by their verdict in `before`.
        lost: number of negatives in `before` alone, by their verdict in `after`.
        queries: number of queries with a negative in either.
        changed: number of queries whose negatives differ.
        most: the queries that changed most, by id: negatives gained, lost.
        texts: of these queries, by id; empty if they cannot be read.
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
    texts: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """Write the changes for a terminal."""
        yield f"{self.before} -> {self.after}"
        yield from (f"  {difference}" for difference in self.settings)
        yield ""
        yield from aligned(
            [
                ("negatives in both", f"{self.same:,}"),
                *((f"  + previously {kind}", f"{n:,}") for kind, n in self.gained.items()),
                *((f"  - now {kind}", f"{n:,}") for kind, n in self.lost.items()),
                ("queries that changed", f"{self.changed:,}", f"of {self.queries:,}"),
            ]
        )
        yield ""
        pairs = ((f"  {name}", before, after) for name, before, after in self.pairs())
        yield from aligned([("", "before", "after"), *pairs])
        if self.most:
            yield ""
            yield "Queries that changed most: negatives gained and lost"
            changed = (
                (f"  {self.name(query)}", f"+{gained}", f"-{lost}")
                for query, (gained, lost) in self.most.items()
            )
            yield from fitted(changed, "<>>")

    def name(self, query_id: str) -> str:
        """Return the text of a query that changed, or its id if the text cannot be read."""
        return self.texts.get(query_id) or query_id

    def pairs(self) -> Iterator[tuple[str, str, str]]:
        """Yield the counts and means in words, each with its values before and after."""
        for name, pair in (self.counts | self.means).items():
            before, after = map(_shown, pair)
            yield _named(name), before, after


def _shown(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else number(value)


def _named(count: str) -> str:
    """Return the words for a count; a reason may be an expression, and stays as it is."""
    if count.startswith("dropped_"):
        return "dropped: " + count.removeprefix("dropped_")
    return count.replace("_", " ")


def changes(one: ScoredView, other: ScoredView, most: int) -> Changes:
    """Return the differences between two mined directories.

    Args:
        one: view of a directory.
        other: view of the directory to compare it with.
        most: number of queries to name.

    Raises:
        InputError: a directory is damaged.
    """
    before, after = one.mined, other.mined
    one.attach(other, "later")
    for statement in (_PAIRS, _NEGATIVES):
        one.ask(statement)
    queries, changed = one.ask(_QUERIES)[0]
    named = {query: (gained, lost) for query, gained, lost in one.ask(_MOST, most)}
    texts = {query: _text(query, before, after) for query in named}
    return Changes(
        before=str(before.path),
        after=str(after.path),
        same_candidates=before.manifest.candidates == after.manifest.candidates,
        settings=differences(_plan(before), _plan(after)),
        counts=_counts(before.manifest.counts, after.manifest.counts),
        means=_means(one),
        same=one.ask("select count(*) from negatives where was = is_now")[0][0],
        gained=_reasons(one, "was"),
        lost=_reasons(one, "is_now"),
        queries=queries,
        changed=changed,
        most=named,
        texts={query: text for query, text in texts.items() if text},
    )


def _text(query_id: str, *directories: Mined) -> str | None:
    """Return the text of a query from the first directory that has it; None if none can be read."""
    for mined in directories:
        if mined.texts and mined.texts.queries.texts.find_ids([query_id])[0] >= 0:
            return mined.query_text(query_id)
    return None


def _plan(mined: Mined) -> Json:
    return {key: value for key, value in mined.manifest.recorded.items() if key != "counts"}


def _counts(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    pairs = {name: (before.get(name, 0), after.get(name, 0)) for name in {**before, **after}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _means(one: ScoredView) -> dict[str, tuple[float | None, float | None]]:
    select = f"select {', '.join(MEANS.values())} from"
    before, after = (one.ask(f"{select} {t} where selected")[0] for t in ("scored", "later"))
    return dict(zip(MEANS, zip(before, after, strict=True), strict=True))


def _reasons(one: ScoredView, column: str) -> dict[str, int]:
    return dict(
        one.ask(
            f"select {column}, count(*) from negatives where was <> is_now "
            f"and {column} <> '{NEGATIVE}' group by all order by count(*) desc, {column}"
        )
    )
