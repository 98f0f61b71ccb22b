"""Whether a teacher ranks the known positives high enough for a student to learn from its lists.

A pin lifts the known positive to the top. Where the teacher finds many documents nearer, the
student learns to avoid what is near: see docs/downstream.md for what that costs.
"""

from __future__ import annotations

from collections.abc import Iterator

from hnmine.directories.mined import Mined

DEEP = 5.0
"""Typical rank of a known positive, from 0, from which lists are doubtful: on six collections,
students learned from lists where it was 0.6 to 2.2, and became worse where it was 8.6 to 32."""

FEWEST = 10
"""Queries with a scored positive; with fewer, their ranks say little."""

RANKS = """
select count(*), exp(avg(ln(1 + above))) - 1, avg(candidates)
from (
    select
        count(*) filter (where not known and score > positive) as above,
        count(*) filter (where not known) as candidates
    from (
        select query_id, is_positive or is_query as known, score,
            max(score) filter (where label = 1) over (partition by query_id) as positive
        from (select *, "{}"::double as score from scored) where isfinite(score)
    )
    where positive is not null group by query_id
)"""
"""Counts the queries with a scored positive, and takes its typical rank and its candidates: the
geometric mean of 1 + rank, less 1."""


def doubts(mined: Mined, scores: str, threads: int) -> Iterator[str]:
    """Yield a warning where the teacher puts the known positives deep.

    Args:
        mined: the directory.
        scores: column with the teacher's scores.
        threads: for DuckDB.
    """
    with mined.sql(threads) as scored:
        [(queries, rank, candidates)] = scored.ask(RANKS.format(scores.replace('"', '""')))
    if queries >= FEWEST and rank > DEEP:
        yield (
            f"Distilling may do harm: the teacher puts {rank:.0f} of {candidates:.0f} candidates "
            "above a known positive (typical). Train with a contrastive loss, or take a teacher "
            "that ranks positives higher."
        )
