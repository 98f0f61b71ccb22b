"""hnmine, its peers and every rule on one case, and what that says over all cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.quality.evaluate import (
    CUTS,
    Floats,
    Point,
    Pool,
    at_setting,
    fewest_zeros,
    frontier,
    lowest_rate,
    lowest_rates,
    measure,
    rates,
    resamples,
)
from benchmarks.quality.rules import AS_USED, rules
from benchmarks.quality.runs import Case

RESAMPLES = 1000
FIXED = (0.9, 20.0)
"""Least yield and highest mean rank of the comparison that does not depend on hnmine."""

YIELDS = (0.75, 0.9, 0.95, 0.99)
RANKS = (2, 3, 5, 8, 12, 16, 20, 25, 30)
Ratios = dict[str, dict[str, Floats]]
"""By arm and rule: hnmine's rate over the rule's; first as it is, then in each resample."""


def study(
    case: Case, peers: Mapping[str, Any], asked: int, seed: int = 0
) -> tuple[dict[str, Any], Ratios]:
    """Measure everything on one case; return what is reported, and the ratios to average."""
    table = case.table
    pool, scores = table.pool, rules(table)
    chosen = {
        name: measure(one.pool, one.selected, asked, one.kept) for name, one in case.tables.items()
    }
    weights = resamples(pool.queries, RESAMPLES, seed)
    ratios: Ratios = {}
    equal: dict[str, Any] = {}
    for arm, point in chosen.items():
        own = case.tables[arm]
        drawn = rates(own.pool, own.selected, weights, asked)
        ratios[arm], equal[arm] = {}, {}
        for rule, score in scores.items():
            ratios[arm][rule] = ratio(pool, score, point, drawn, weights, asked)
            equal[arm][rule] = _equal(pool, score, point, ratios[arm][rule], asked)
    return {
        "collection": case.collection,
        "seed": case.seed,
        "queries": pool.queries,
        "queries with hidden positives": int(pool.counted.sum()),
        "candidates": len(pool.query),
        "hidden among candidates": int(pool.hidden.sum()),
        "judged zeros among candidates": int(pool.zero.sum()),
        "hnmine": {name: point._asdict() for name, point in chosen.items()},
        "peers": {name: measure(pool, one, asked)._asdict() for name, one in peers.items()},
        "as used": {
            name: at_setting(pool, scores[rule], cut, asked=asked)._asdict()
            for name, (rule, cut) in AS_USED.items()
            if rule in scores
        },
        "fixed": {
            rule: _shown(lowest_rate(pool, score, asked, *FIXED)) for rule, score in scores.items()
        },
        "equal": equal,
        "curves": {
            rule: frontier(pool, score, YIELDS, RANKS, asked) for rule, score in scores.items()
        },
    }, ratios


def _equal(pool: Pool, score: Floats, point: Point, drawn: Floats, asked: int) -> dict[str, Any]:
    """Report what a rule reaches where hnmine's choice is."""
    best = lowest_rate(pool, score, asked, point.found, point.rank)
    zeros = fewest_zeros(pool, score, point.rate, asked) if pool.zero.any() else None
    return {
        "best": _shown(best),
        "hnmine over it": float(drawn[0]),
        "95 %": np.nanquantile(drawn[1:], [0.025, 0.975]).tolist(),
        "at the same rate": _shown(zeros),
    }


def ratio(
    pool: Pool,
    score: Floats,
    point: Point,
    drawn: tuple[Floats, Floats, Floats],
    weights: Floats,
    asked: int,
) -> Floats:
    """Return hnmine's rate over a rule's lowest at hnmine's yield and mean rank.

    Both rates are raised by half a hidden positive, so that a rate of 0 has a ratio. A rule that
    cannot give that yield at that rank has the ratio 0; a resample without a query that has hidden
    positives has NaN.

    Args:
        pool: the candidates.
        score: the rule's score.
        point: hnmine's choice.
        drawn: its rate, yield and mean rank in each resample.
        weights: the resamples.
        asked: negatives asked for each query.

    Returns:
        The ratio, then that of each resample, shape (1 + resamples,).
    """
    half = 0.5 / max(asked * int(pool.counted.sum()), 1)
    once = np.ones((1, pool.queries))
    ours = np.concatenate([[point.rate], drawn[0]])
    theirs = np.concatenate(
        [
            lowest_rates(pool, score, once, asked, point.found, point.rank, CUTS),
            lowest_rates(pool, score, weights, asked, drawn[1], drawn[2]),
        ]
    )
    result: Floats = (ours + half) / (theirs + half)
    return result


def summary(cases: Sequence[tuple[str, Ratios]]) -> dict[str, dict[str, Any]]:
    """Average over cases: the geometric mean with its interval, and the worst case.

    Args:
        cases: name and ratios of each.
    """
    names = [name for name, _ in cases]
    result: dict[str, dict[str, Any]] = {}
    for arm in cases[0][1]:
        result[arm] = {}
        for rule in cases[0][1][arm]:
            having = [n for n, (_, one) in enumerate(cases) if rule in one[arm]]
            table = np.stack([cases[n][1][arm][rule] for n in having])
            with np.errstate(divide="ignore"):
                means = np.exp(np.log(table).mean(axis=0))
            worst = int(table[:, 0].argmax())
            result[arm][rule] = {
                "geometric mean": float(means[0]),
                "95 %": np.nanquantile(means[1:], [0.025, 0.975]).tolist(),
                "worst": float(table[worst, 0]),
                "worst on": names[having[worst]],
                "cases": len(having),
            }
    return result


def _shown(point: Point | None) -> dict[str, Any] | None:
    return point._asdict() if point else None
