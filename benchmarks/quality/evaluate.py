"""What a rule lets through, and the least it can let through at a given yield and depth.

A rule is a score for each candidate (the higher, the more likely relevant) with a cut and a
`range_min`: candidates with score <= cut and rank >= range_min survive, and the `asked` survivors
of lowest rank are selected. Everything is a plain array:

    pool = Pool(query, rank, hidden)         # rows ordered by query, then rank
    measure(pool, selected, asked=5)         # -> Point of any selection, a boolean per candidate
    at_setting(pool, score, cut, range_min)  # -> Point of one setting of a rule
    lowest_rate(pool, score, asked=5, min_yield=0.9, max_rank=20.0)
                                             # -> Point of the best cut and range_min, or None
    frontier(pool, score, yields, ranks)     # -> lowest rate for every pair of limits
    fewest_zeros(pool, score, max_rate)      # -> Point that drops the fewest judged zeros
    weights = resamples(queries, 1000)       # bootstrap over queries, the same for all rules
    lowest_rates(pool, score, weights, min_yield=…, max_rank=…)   # one rate for each resample
    rates(pool, selected, weights)           # rate, yield and mean rank for each resample

The false-negative rate is hidden positives among the selected over all selected, in the queries
that have a hidden positive (`counted`); yield, mean rank and mean similarity are over all queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CUTS = 512
"""Cuts tried for a rule: quantiles of its scores over the pool. With 128 of them a rule's best rate
comes out up to a tenth too high, because the best cut is the last one with enough yield."""
EPSILON = 1e-9


@dataclass(frozen=True)
class Pool:
    """The candidates of all queries, ordered by query, then rank; known positives left out.

    Args:
        query: number of the query, from 0, shape (candidates,).
        rank: place in the retrieved list, from 0, without known positives.
        hidden: whether it is a hidden positive.
        counted: whether a query has a hidden positive, in the pool or not, shape (queries,);
            without it, all queries count.
        similarity: bi-encoder similarity to the query.
        zero: whether it was judged not relevant.
    """

    query: NDArray[Any]
    rank: NDArray[Any]
    hidden: NDArray[np.bool_]
    counted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    similarity: NDArray[Any] = field(default_factory=lambda: np.zeros(0))
    zero: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __post_init__(self) -> None:
        n = len(self.query)
        order = self.query.astype(np.int64) * (self.depth + 1) + self.rank
        if (np.diff(order) <= 0).any():
            raise ValueError("Order the candidates by query, then rank; no rank may come twice.")
        if not len(self.counted):
            queries = int(self.query.max()) + 1 if n else 0
            object.__setattr__(self, "counted", np.ones(queries, dtype=bool))
        if not len(self.similarity):
            object.__setattr__(self, "similarity", np.full(n, np.nan))
        if not len(self.zero):
            object.__setattr__(self, "zero", np.zeros(n, dtype=bool))

    @property
    def queries(self) -> int:
        """How many queries there are, with candidates or without."""
        return len(self.counted)

    @property
    def depth(self) -> int:
        """One more than the deepest rank."""
        return int(self.rank.max()) + 1 if len(self.rank) else 1


class Point(NamedTuple):
    """What a selection is worth."""

    rate: float
    """Hidden positives among the selected of the counted queries."""
    found: float
    """Yield: selected over asked."""
    rank: float
    """Mean rank of the selected."""
    similarity: float
    """Mean bi-encoder similarity of the selected."""
    dropped_zeros: float
    """Share of the judged non-relevant candidates that were dropped; NaN without any."""
    cut: float
    range_min: int


def measure(
    pool: Pool,
    selected: NDArray[np.bool_],
    asked: int = 5,
    kept: NDArray[np.bool_] | None = None,
    cut: float = np.nan,
    range_min: int = 0,
) -> Point:
    """Measure a selection; `kept` are the candidates that a rule did not drop."""
    counted = selected & pool.counted[pool.query]
    zeros = int(pool.zero.sum())
    survived = int((pool.zero & kept).sum()) if kept is not None else 0
    some = bool(selected.any())
    return Point(
        rate=float(pool.hidden[counted].mean()) if counted.any() else np.nan,
        found=int(selected.sum()) / (asked * pool.queries),
        rank=float(pool.rank[selected].mean()) if some else np.nan,
        similarity=float(pool.similarity[selected].mean()) if some else np.nan,
        dropped_zeros=1 - survived / zeros if zeros and kept is not None else np.nan,
        cut=cut,
        range_min=range_min,
    )


def at_setting(
    pool: Pool, score: NDArray[Any], cut: float, range_min: int = 0, asked: int = 5
) -> Point:
    """Measure a rule with one cut and one `range_min`; NaN never survives."""
    kept = (score <= cut) & (pool.rank >= range_min)
    return measure(pool, first(pool.query, kept, asked), asked, kept, cut, range_min)


def first(query: NDArray[Any], kept: NDArray[np.bool_], asked: int) -> NDArray[np.bool_]:
    """Mark the first `asked` kept rows of each query."""
    total = np.cumsum(kept)
    before = np.concatenate([[0], total])[np.searchsorted(query, query)]
    chosen: NDArray[np.bool_] = kept & (total - before <= asked)
    return chosen


class _Sums(NamedTuple):
    """Sums over the selected for one cut and every `range_min` tried, shape (groups, width)."""

    found: Floats
    counted: Floats
    hidden: Floats
    rank: Floats


def _sums(
    pool: Pool,
    group: NDArray[np.int64],
    groups: int,
    width: int,
    rows: NDArray[np.int64],
    asked: int,
) -> _Sums:
    """Sum over what is selected from some rows, for every `range_min` below `width` at once.

    A surviving row is selected for range_min in (rank of the `asked`-th survivor before it, its
    own rank]: two entries in an array of differences.
    """
    query, rank, depth = pool.query[rows], pool.rank[rows], pool.depth
    start = np.zeros(len(rows), dtype=np.int64)
    if len(rows) > asked:
        start[asked:] = np.where(query[asked:] == query[:-asked], rank[:-asked] + 1, 0)
    at = group[rows] * (depth + 1)

    def total(weight: NDArray[Any]) -> Floats:
        size = groups * (depth + 1)
        change = np.bincount(at + start, weight, size) - np.bincount(at + rank + 1, weight, size)
        sums: Floats = np.cumsum(change.reshape(groups, depth + 1)[:, :width], axis=1)
        return sums

    return _Sums(
        total(np.ones(len(rows))),
        total(pool.counted[query].astype(float)),
        total((pool.hidden[rows] & pool.counted[query]).astype(float)),
        total(rank.astype(float)),
    )


def _cuts(score: NDArray[Any], number: int) -> Floats:
    finite = score[np.isfinite(score)].astype(float)
    if not len(finite):
        return np.zeros(0)
    return np.unique(np.quantile(finite, np.linspace(0, 1, number), method="inverted_cdf"))


def _sweep(
    pool: Pool, score: NDArray[Any], asked: int, cuts: int, max_rank: float, by_query: bool
) -> Iterator[tuple[float, _Sums]]:
    """Go through the cuts; a `range_min` above `max_rank` cannot have that mean rank."""
    if by_query:
        group, groups = pool.query.astype(np.int64), pool.queries
    else:
        group, groups = np.zeros(len(pool.query), dtype=np.int64), 1
    width = int(min(pool.depth, max(np.floor(max_rank + EPSILON), 0) + 1))
    for cut in _cuts(score, cuts):
        yield cut, _sums(pool, group, groups, width, np.flatnonzero(score <= cut), asked)


def _best(
    sums: _Sums, queries: int, asked: int, min_yield: Floats, max_rank: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the lowest rate in each row and the range_min that it has; inf where none will do."""
    with np.errstate(invalid="ignore", divide="ignore"):
        allowed = (sums.found >= (min_yield[:, None] - EPSILON) * asked * queries) & (
            sums.rank <= (max_rank[:, None] + EPSILON) * sums.found
        )
        rate = np.where(allowed & (sums.counted > 0), sums.hidden / sums.counted, np.inf)
    range_min = rate.argmin(axis=1)
    return np.take_along_axis(rate, range_min[:, None], axis=1)[:, 0], range_min


def lowest_rate(
    pool: Pool,
    score: NDArray[Any],
    asked: int = 5,
    min_yield: float = 0.9,
    max_rank: float = 20.0,
    cuts: int = CUTS,
) -> Point | None:
    """Find the setting of a rule with the lowest false-negative rate, or None if none will do.

    Args:
        pool: the candidates.
        score: the rule's score, the higher the more likely relevant, shape (candidates,).
        asked: negatives asked for each query.
        min_yield: least selected over asked.
        max_rank: highest mean rank of the selected.
        cuts: how many quantiles of the score are tried; all `range_min` are.
    """
    best = (np.inf, np.nan, 0)
    wanted = np.array([min_yield]), np.array([max_rank])
    for cut, sums in _sweep(pool, score, asked, cuts, max_rank, by_query=False):
        rate, range_min = _best(sums, pool.queries, asked, *wanted)
        best = min(best, (float(rate[0]), cut, int(range_min[0])))
    return at_setting(pool, score, best[1], best[2], asked) if np.isfinite(best[0]) else None


def lowest_rates(
    pool: Pool,
    score: NDArray[Any],
    weights: Floats,
    asked: int = 5,
    min_yield: float | Floats = 0.9,
    max_rank: float | Floats = 20.0,
    cuts: int = CUTS // 2,
) -> Floats:
    """Return the lowest rate in each resample, its own best setting each; inf where none will do.

    Args:
        pool: the candidates.
        score: the rule's score.
        weights: how often each query is in each resample, shape (resamples, queries).
        asked: negatives asked for each query.
        min_yield: least yield, one for all or one for each resample.
        max_rank: highest mean rank, likewise.
        cuts: how many quantiles of the score are tried.
    """
    best = np.full(len(weights), np.inf)
    wanted = [np.broadcast_to(limit, len(weights)).astype(float) for limit in (min_yield, max_rank)]
    exact = weights.astype(np.float32)  # Sums of integers below 2 ** 24 are exact in float32.
    deepest = float(np.nanmax(wanted[1], initial=0))
    for _, sums in _sweep(pool, score, asked, cuts, deepest, by_query=True):
        drawn = _Sums(*(np.asarray(exact @ one.astype(np.float32), float) for one in sums))
        best = np.minimum(best, _best(drawn, pool.queries, asked, wanted[0], wanted[1])[0])
    return best


def resamples(queries: int, number: int = 1000, seed: int = 0) -> Floats:
    """Draw how often each query is in each bootstrap resample, shape (number, queries)."""
    chances = np.full(queries, 1 / queries)
    return np.random.default_rng(seed).multinomial(queries, chances, size=number).astype(float)


def rates(
    pool: Pool, selected: NDArray[np.bool_], weights: Floats, asked: int = 5
) -> tuple[Floats, Floats, Floats]:
    """Return a selection's false-negative rate, yield and mean rank in each resample."""
    query = pool.query[selected]

    def total(weight: NDArray[Any]) -> Floats:
        return weights @ np.bincount(query, weight, pool.queries)

    found = total(np.ones(len(query)))
    counted = total(pool.counted[query].astype(float))
    hidden = total((pool.hidden[selected] & pool.counted[query]).astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            hidden / counted,
            found / (asked * pool.queries),
            total(pool.rank[selected].astype(float)) / found,
        )


def frontier(
    pool: Pool,
    score: NDArray[Any],
    yields: Sequence[float],
    ranks: Sequence[float],
    asked: int = 5,
    cuts: int = CUTS,
) -> list[tuple[float, float, float]]:
    """Return (least yield, highest mean rank, lowest rate) for every pair of limits; inf: none."""
    limits = np.array([(least, deepest) for least in yields for deepest in ranks])
    best = np.full(len(limits), np.inf)
    for _, sums in _sweep(pool, score, asked, cuts, max(ranks), by_query=False):
        best = np.minimum(best, _best(sums, pool.queries, asked, limits[:, 0], limits[:, 1])[0])
    return [
        (float(least), float(deepest), float(rate))
        for (least, deepest), rate in zip(limits, best, strict=True)
    ]


def fewest_zeros(
    pool: Pool, score: NDArray[Any], max_rate: float, asked: int = 5, cuts: int = CUTS
) -> Point | None:
    """Find the cut that drops the fewest judged zeros at a rate of at most `max_rate`.

    The `range_min` is 0: to skip ranks is no judgement of a document.
    """
    points = [at_setting(pool, score, cut, asked=asked) for cut in _cuts(score, cuts)]
    allowed = [point for point in points if point.rate <= max_rate + EPSILON]
    return min(allowed, key=lambda point: (point.dropped_zeros, point.rate), default=None)
