"""Examples at the margin: what was barely taken as a negative, and what was barely not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hnmine.report.facts import DROPPED, NEGATIVE, Document, Example
from hnmine.report.scored import MARGIN, Scored, literal

NEGATIVES, REASONS, OF_EACH_REASON = 6, 4, 3
CHARACTERS = 700
LOOKED_AT = 20
"""Times as many rows as are shown, since each query is shown once."""

DOUBTFUL_FIRST = f"p_relevant desc nulls last, {MARGIN}, query_id, doc_id"
NEAREST = {"p-relevant": "p_relevant", "target-fn-rate": "evidence", "near-copy": "near_copy"}
"""By reason: what is smallest where the rule only just dropped a candidate; else the margin is
largest there."""

NO_MATTER_OF_DEGREE = ("query", "not-finite", "rank", "max-uses")


def examples(scored: Scored) -> list[Example]:
    """Return the negatives most in doubt, and what each of the main rules dropped most narrowly."""
    taken = _rows(scored, f"kind = '{NEGATIVE}'", DOUBTFUL_FIRST, NEGATIVES)
    reasons = scored.ask(
        f"select reason from scored where kind = '{DROPPED}' and not list_contains(?, reason) "
        "group by reason order by count(*) desc, reason limit ?",
        list(NO_MATTER_OF_DEGREE),
        REASONS,
    )
    for (reason,) in reasons:
        order = f"{NEAREST.get(reason, MARGIN + ' desc')} nulls last, query_id, doc_id"
        condition = f"kind = '{DROPPED}' and reason = {literal(reason)}"
        taken += _rows(scored, condition, order, OF_EACH_REASON)
    positives = _positives(scored, [row["query_id"] for row in taken])
    return [_example(scored, row, positives.get(row["query_id"])) for row in taken]


def _rows(scored: Scored, condition: str, order: str, count: int) -> list[dict[str, Any]]:
    """Return the first rows in an order, one of each query."""
    found: dict[str, dict[str, Any]] = {}
    sql = f"select *, {MARGIN} as margin from scored where {condition} order by {order} limit ?"
    for row in scored.rows(sql, LOOKED_AT * count):
        found.setdefault(row["query_id"], row)
    return list(found.values())[:count]


def _positives(scored: Scored, queries: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return of each query the positive with the lowest score."""
    rows = scored.rows(
        "select * from scored where label = 1 and list_contains(?, query_id) "
        "order by query_id, score desc nulls last, doc_id desc",
        list(queries),
    )
    return {row["query_id"]: row for row in rows}


def _example(scored: Scored, row: Mapping[str, Any], positive: Mapping[str, Any] | None) -> Example:
    return Example(
        verdict=NEGATIVE if row["selected"] else row["reason"],
        query_id=row["query_id"],
        query=scored.query(row["query_id"]),
        positive=document(scored, positive, CHARACTERS) if positive else None,
        candidate=document(scored, row, CHARACTERS),
        margin=_number(row["margin"]),
        p_relevant=_number(row.get("p_relevant")),
    )


def document(scored: Scored, row: Mapping[str, Any], characters: int) -> Document:
    """Return a row of the table as a document with its scores."""
    return Document(
        doc_id=row["doc_id"],
        text=scored.document(row["doc_id"], characters),
        scores={name: _number(row[name]) for name in scored.scores if row[name] is not None},
        rank=row["rank"],
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
