"""The depth to aim at by rule: by where the known positives stand, and how many candidates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hnmine.ragged import Bools, Floats, Ints

BEYOND = 2.0
"""Depth, in typical ranks of the known positives: unlabelled positives stand where they do."""

SHARE = 0.5
"""Of a query's candidates, the deepest mean rank: deeper, there would be no choice by relevance."""

SHALLOW = 10.0
"""Down to this depth, negatives score below the positive: what scores above it is often relevant,
and a whole encoder can lose more from that than it gains."""

USUAL = 20.0
"""The depth where too few positives show where they stand."""

FEWEST = 10


class DepthRule(BaseModel):
    """Where the known positives stand, and the depth that follows.

    Attributes:
        queries: with a known positive.
        rank: typical rank of a positive, from 0: the geometric mean of 1 + rank, less 1.
        pool: mean number of candidates of a query.
        depth: to aim at.
    """

    model_config = ConfigDict(frozen=True)

    queries: int = Field(ge=0)
    rank: float = Field(ge=0, allow_inf_nan=False)
    pool: float = Field(ge=0, allow_inf_nan=False)
    depth: float = Field(ge=0, allow_inf_nan=False)

    @property
    def applies(self) -> bool:
        """Whether enough positives show where they stand."""
        return self.queries >= FEWEST

    @property
    def deepest(self) -> float:
        """The deepest mean rank that the rule aims at."""
        return round(SHARE * self.pool, 1)

    @property
    def stays_below(self) -> bool:
        """Whether the negatives must score below the positive: it stands near the top."""
        return self.applies and BEYOND * self.rank <= SHALLOW and self.depth <= SHALLOW

    @property
    def reason(self) -> str:
        """Why it is this depth, as a clause."""
        half = f"so it is half of the {self.pool:.0f} candidates"
        if not self.applies:
            few = (
                f"only {self.queries} queries have a positive with a place by the bi-encoder"
                if self.queries
                else "no bi-encoder says where the positives are"
            )
            return f"{few}, {half}" if self.depth < USUAL else few
        where = f"known positives have a typical rank of {self.rank:.1f} by the bi-encoder"
        if self.depth < round(BEYOND * self.rank, 1):
            return f"{where}, {half}"
        return f"{where}, and it is twice that"


class Rows(NamedTuple):
    """Rows of some queries, shape (rows,) each.

    Attributes:
        query: of each row, from 0.
        candidate: whether it is a candidate.
        positive: whether it is a known positive.
        depth: number of the query's candidates with a higher score: all for the last positives.
    """

    query: Ints
    candidate: Bools
    positive: Bools
    depth: Floats


def depth_by_rule(rows: Rows) -> DepthRule:
    """Return twice the typical rank of a positive, but at most half of a query's candidates.

    A query with several positives counts once.
    """
    query, candidate, positive, depth = rows
    queries = int(query.max(initial=-1)) + 1
    pool = np.bincount(query[candidate], minlength=queries)
    known = positive & np.isfinite(depth) & (pool[query] > 0)
    counts = np.bincount(query[known], minlength=queries)
    logs = np.bincount(query[known], np.log1p(depth[known]), queries)[counts > 0]
    # Sorted, so that no order of the queries changes a digit of the sum.
    means = np.sort(logs / counts[counts > 0])
    rank = float(np.expm1(means.mean())) if len(means) else 0.0
    found = DepthRule(
        queries=len(means),
        rank=round(rank, 1),
        pool=round(float(pool[pool > 0].mean()), 1) if pool.any() else 0.0,
        depth=USUAL,
    )
    target = BEYOND * found.rank if found.applies else USUAL
    return found.model_copy(update={"depth": min(round(target, 1), found.deepest)})
