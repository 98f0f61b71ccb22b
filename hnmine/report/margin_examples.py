"""Borderline examples: doubtful negatives, and candidates that a rule only just dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hnmine.directories.scored_view import DROPPED, MARGIN, NEGATIVE, Row, ScoredView, literal
from hnmine.report.facts import Document, Example

NEGATIVES, REASONS, OF_EACH_REASON = 6, 4, 3
CHARACTERS = 700
LOOKED_AT = 20
"""Rows read for each row shown, as each query is shown once."""

DOUBTFUL_FIRST = f"relevance desc nulls last, {MARGIN}, query_id, doc_id"
NEAREST = {"near-copy": "near_copy"}
"""By rule: the column that is smallest where the rule only just dropped a candidate. For other
rules the margin is largest there."""

NO_MATTER_OF_DEGREE = ("query", "not-finite", "rank", "max-uses")


def examples(scored: ScoredView) -> list[Example]:
    """Return the most doubtful negatives, and what the main rules dropped most narrowly."""
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


def _rows(scored: ScoredView, condition: str, order: str, count: int) -> list[Row]:
    """Return the first rows in an order, one for each query."""
    found: dict[str, Row] = {}
    sql = f"select *, {MARGIN} as margin from scored where {condition} order by {order} limit ?"
    for row in scored.rows(sql, LOOKED_AT * count):
        found.setdefault(row["query_id"], row)
    return list(found.values())[:count]


def _positives(scored: ScoredView, queries: Sequence[str]) -> dict[str, Row]:
    """Return the positive with the lowest score, by query."""
    rows = scored.rows(
        "select * from scored where label = 1 and list_contains(?, query_id) "
        "order by query_id, score desc nulls last, doc_id desc",
        list(queries),
    )
    return {row["query_id"]: row for row in rows}


def _example(scored: ScoredView, row: Row, positive: Row | None) -> Example:
    return Example(
        verdict=NEGATIVE if row["selected"] else row["reason"],
        query_id=row["query_id"],
        query=scored.mined.query_text(row["query_id"]),
        positive=document(scored, positive, CHARACTERS) if positive else None,
        candidate=document(scored, row, CHARACTERS),
        margin=_number(row["margin"]),
        relevance=_number(row["relevance"]),
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
