"""Certify one of several choices of negatives, from the safest to the hardest.

The choices are tested in an order that is fixed before any verdict is known, and the first that
cannot be certified ends it (learn then test: Angelopoulos et al., 2021). So all tests together are
wrong with the probability of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hnmine.guarantee.judge_errors import Hits, limit_of
from hnmine.guarantee.without_replacement import capital_path, draws_to_go
from hnmine.ragged import Bools

Pair = tuple[str, str]
"""A query id and a document id."""


@dataclass(frozen=True)
class Claim:
    """What is to be proved of a choice.

    Attributes:
        max_false: highest share of false negatives.
        risk: probability that a claim is wrong, at most.
        hits: of the judge on known positives; None if its verdicts are the truth.
    """

    max_false: float
    risk: float
    hits: Hits | None = None


@dataclass(frozen=True)
class Draw:
    """The pairs of a choice in random order.

    Attributes:
        population: number of pairs that were chosen.
        pairs: the first of them in the order of the draw.
    """

    population: int
    pairs: Sequence[Pair]


@dataclass(frozen=True)
class Test:
    """How far the verdicts on a choice got.

    Attributes:
        certified: whether the claim is proved.
        judged: draws with a verdict, in one run from the first.
        relevant: those of them that were judged relevant.
        to_go: further draws that prove the claim if none of them is relevant; None if no number
            of them does. 0 if it is proved.
    """

    certified: bool
    judged: int
    relevant: int
    to_go: int | None


def test(draw: Draw, relevant: Mapping[Pair, bool], claim: Claim) -> Test:
    """Test the claim on one choice.

    Args:
        draw: of the choice.
        relevant: whether each judged pair is relevant.
        claim: to prove.
    """
    marks = _first_verdicts(draw.pairs, relevant)
    limit = limit_of(draw.population, claim.max_false, claim.risk, claim.hits)
    counts = len(marks), int(marks.sum())
    if not limit.marked:
        return Test(False, *counts, None)
    capital = capital_path(draw.population, limit.marked, marks)
    if len(marks) and capital.max() >= -math.log(limit.risk):
        return Test(True, *counts, 0)
    return Test(False, *counts, draws_to_go(draw.population, limit.marked, marks, limit.risk))


def certify(draws: Sequence[Draw], relevant: Mapping[Pair, bool], claim: Claim) -> list[Test]:
    """Test choices in turn, and return their tests up to the first that fails.

    Args:
        draws: of the choices, the safest first.
        relevant: whether each judged pair is relevant.
        claim: to prove.
    """
    tests = []
    for draw in draws:
        tests.append(test(draw, relevant, claim))
        if not tests[-1].certified:
            break
    return tests


def _first_verdicts(pairs: Sequence[Pair], relevant: Mapping[Pair, bool]) -> Bools:
    marks = []
    for pair in pairs:
        mark = relevant.get(pair)
        if mark is None:
            break
        marks.append(mark)
    return np.array(marks, dtype=bool)
