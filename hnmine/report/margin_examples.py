"""Examples: hard negatives, doubtful ones, and candidates that a rule only just dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hnmine.directories.scored_view import (
    DROPPED,
    MARGIN,
    NEGATIVE,
    Row,
    ScoredView,
    literal,
    quoted,
)
from hnmine.names import rank_of
from hnmine.report.facts import Document, Example, Kind

HARD, DOUBTFUL, REASONS, OF_EACH_REASON = 8, 16, 4, 6
CHARACTERS = 700
LOOKED_AT = 20
"""Rows read for each row shown, as each query is shown once."""

UNLIKE_A_POSITIVE = 0.25
"""Share of the negatives that look least like positives: the hard ones are shown from these."""

DOUBTFUL_FIRST = f"relevance desc nulls last, {MARGIN}, query_id, doc_id"
HARD_FIRST = f"rank nulls last, {MARGIN} desc nulls last, query_id, doc_id"
"""Without a bi-encoder; with one, what is nearest to the query comes first."""

NEAREST = {"near-copy": "near_copy"}
"""By rule: the column that is smallest where the rule only just dropped a candidate. For other
rules the margin is largest there."""

NO_MATTER_OF_DEGREE = ("query", "not-finite", "rank", "max-uses")


def examples(scored: ScoredView) -> list[Example]:
    """Return hard negatives, the most doubtful ones, and what rules dropped most narrowly."""
    taken: list[tuple[Kind, Row]] = [("hard negative", row) for row in _hard(scored)]
    known = {(row["query_id"], row["doc_id"]) for _, row in taken}
    doubtful = _rows(scored, f"kind = '{NEGATIVE}'", DOUBTFUL_FIRST, DOUBTFUL)
    taken += [
        ("doubtful negative", row)
        for row in doubtful
        if (row["query_id"], row["doc_id"]) not in known
    ]
    reasons = scored.ask(
        f"select reason from scored where kind = '{DROPPED}' and not list_contains(?, reason) "
        "group by reason order by count(*) desc, reason limit ?",
        list(NO_MATTER_OF_DEGREE),
        REASONS,
    )
    for (reason,) in reasons:
        order = f"{NEAREST.get(reason, MARGIN + ' desc')} nulls last, query_id, doc_id"
        condition = f"kind = '{DROPPED}' and reason = {literal(reason)}"
        dropped = _rows(scored, condition, order, OF_EACH_REASON)
        taken += [("narrowly dropped", row) for row in dropped]
    positives = _positives(scored, [row["query_id"] for _, row in taken])
    return [_example(scored, kind, row, positives.get(row["query_id"])) for kind, row in taken]


def _hard(scored: ScoredView) -> list[Row]:
    """Return negatives that are near to their query, and yet look unlike a positive."""
    low = scored.ask(
        f"select quantile_cont(relevance, {UNLIKE_A_POSITIVE}) from scored "
        f"where kind = '{NEGATIVE}' and isfinite(relevance)"
    )[0][0]
    condition = f"kind = '{NEGATIVE}'"
    if low is not None:
        condition += f" and relevance <= ({low!r}::double)"
    # Those that several sources found share both words and meaning with the query.
    found = " + ".join(f"({quoted(rank_of(name))} is not null)::int" for name in scored.sources)
    near = [f"{found or 0} desc"]
    near += ["dense_score desc nulls last"] if "dense_score" in scored.columns else []
    return _rows(scored, condition, ", ".join([*near, HARD_FIRST]), HARD)


def _rows(scored: ScoredView, condition: str, order: str, count: int) -> list[Row]:
    """Return the first rows in an order, one for each query."""
    found: dict[str, Row] = {}
    sql = f"select *, {MARGIN} as margin from scored where {condition} order by {order} limit ?"
    for row in scored.rows(sql, LOOKED_AT * count):
        found.setdefault(row["query_id"], row)
    return list(found.values())[:count]


def _positives(scored: ScoredView, queries: Sequence[str]) -> dict[str, Row]:
    rows = scored.rows(
        "select * from scored where label = 1 and list_contains(?, query_id) "
        "order by query_id, score desc nulls last, doc_id desc",
        list(queries),
    )
    return {row["query_id"]: row for row in rows}


def _example(scored: ScoredView, kind: Kind, row: Row, positive: Row | None) -> Example:
    return Example(
        kind=kind,
        verdict=NEGATIVE if row["selected"] else row["reason"],
        query_id=row["query_id"],
        query=scored.mined.query_text(row["query_id"]),
        positive=document(scored, positive, CHARACTERS) if positive else None,
        candidate=document(scored, row, CHARACTERS),
        margin=_number(row["margin"]),
        relevance=_number(row["relevance"]),
        sources=[name for name in scored.sources if row[rank_of(name)] is not None],
    )


def document(scored: ScoredView, row: Row, characters: int) -> Document:
    """Return a row of the table as a document with its scores."""
    return Document(
        doc_id=row["doc_id"],
        text=scored.mined.document_text(row["doc_id"], characters),
        scores={name: _number(row[name]) for name in scored.scores if row[name] is not None},
        rank=row["rank"],
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
