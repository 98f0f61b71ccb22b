"""Cuts on the evidence for a target rate of false negatives, and what every rate costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from scipy.special import betaincinv

from hnmine.choose import choose
from hnmine.errors import UsageError
from hnmine.expressions.evaluation import number
from hnmine.ragged import Bools, Floats
from hnmine.relevance.depth_price import cost
from hnmine.relevance.model import Estimates, Sample

CONFIDENCE = 0.95
RATES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75)
"""Rates of the cost curve."""


@dataclass(frozen=True)
class Cut:
    """A cut on the evidence and the rate of false negatives below it.

    Attributes:
        value: candidates with less evidence are kept.
        rate: share of relevant documents that is kept, at most, on average over samples.
        low, high: interval for that share given this sample.
        positives: how many known positives set the cut.
    """

    value: float
    rate: float
    low: float
    high: float
    positives: int


class CurvePoint(BaseModel):
    """One rate of false negatives and what it costs; the first fields are those of `Cut`.

    Attributes:
        candidates_left: share of the candidates below the cut.
        yield_: negatives chosen, as a share of those asked for.
        mean_rank: of the chosen negatives.
        highest_p_relevant: of the chosen negatives; None in files of early versions.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    value: float
    rate: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    positives: int
    candidates_left: FiniteFloat
    yield_: FiniteFloat = Field(alias="yield")
    mean_rank: FiniteFloat
    highest_p_relevant: float | None = None


def cuts_by_group(evidence: Floats, group: NDArray[np.str_], rate: float) -> dict[str, Cut]:
    """Return a cut for each group with enough positives, and under "" the cut of all others.

    Args:
        evidence: on known positives.
        group: of each.
        rate: as in `conformal_cut`.

    Raises:
        UsageError: there are too few positives in all.
    """
    enough = [name for name in np.unique(group) if np.floor(rate * ((group == name).sum() + 1))]
    own = {str(name): conformal_cut(evidence[group == name], rate) for name in enough}
    return {"": conformal_cut(evidence, rate)} | own


def cut_expression(cuts: Mapping[str, Cut], by: str | None) -> str:
    """Return the rule that keeps candidates below the cut of their group.

    Args:
        cuts: of `cuts_by_group`.
        by: the expression whose values are the groups; None for one cut.
    """
    default = number(cuts[""].value)
    if by is None:
        return f"evidence < {default}"
    quoted = {name.replace("'", "''"): cut for name, cut in cuts.items() if name}
    cases = " ".join(f"when '{name}' then {number(cut.value)}" for name, cut in quoted.items())
    group = f"coalesce(({by})::varchar, '')"
    return f"evidence < case {group} when '' then {default} {cases} else {default} end"


def conformal_cut(positives: Floats, rate: float) -> Cut:
    """Return the cut below which at most a share of the relevant documents lies.

    Split conformal prediction with its finite-sample correction: the floor(rate * (n + 1))-th
    smallest evidence on n positives that the model has not seen. If unlabelled relevant documents
    are like the labelled ones, the share below it is at most `rate` on average, and follows a beta
    distribution given the positives (Vovk, ACML 2012); `low` and `high` are its 95 % interval.

    Args:
        positives: evidence on known positives.
        rate: between 0 and 1.

    Raises:
        UsageError: there are too few positives for so low a rate.
    """
    n = len(positives)
    below = int(np.floor(rate * (n + 1)))
    if below < 1:
        raise UsageError(
            f"--target-fn-rate {rate:g} needs {int(np.ceil(1 / rate)) - 1:,} known positives.",
            why=f"The sources found {n:,} of them.",
            fix="Raise the rate, add queries, or mine deeper.",
        )
    tail = (1 - CONFIDENCE) / 2
    low, high = betaincinv(below, n + 1 - below, [tail, 1 - tail])
    return Cut(float(np.sort(positives)[below - 1]), rate, float(low), float(high), n)


def curve(
    sample: Sample, estimates: Estimates, eligible: Bools, price: float, depth: Floats, asked: int
) -> Iterator[CurvePoint]:
    """Yield a point for each of `RATES` that there are enough positives for.

    Args:
        sample: the rows that the model was learned from.
        estimates: of its rows.
        eligible: the candidates that no other rule drops.
        price: of depth, as in `price_of_depth`.
        depth: of each row.
        asked: negatives for each query.
    """
    evidence = estimates.evidence
    positives = evidence[sample.is_positive & sample.found]
    order: Floats = cost(estimates.relevance) + price * np.nan_to_num(depth)
    n = np.full(int(sample.query.max(initial=-1)) + 1, asked)
    for rate in RATES:
        if rate * (len(positives) + 1) < 1:
            continue
        cut = conformal_cut(positives, rate)
        left = eligible & (evidence < cut.value)
        chosen = choose(sample.query, left, order, n)
        if chosen.any():
            yield CurvePoint(
                **vars(cut),
                candidates_left=float(left.sum() / max(1, sample.candidate.sum())),
                yield_=float(chosen.sum() / n.sum()),
                mean_rank=float(depth[chosen].mean()),
                highest_p_relevant=float(estimates.p_relevant[chosen].max()),
            )
