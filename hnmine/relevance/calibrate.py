"""A cut with a known share of relevant documents below it, from positives held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from hnmine.errors import UsageError
from hnmine.expressions.evaluation import number
from hnmine.ragged import Floats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Cut:
    """A cut on the evidence and what it means.

    Attributes:
        value: keep what has less evidence.
        rate: share of relevant documents that would be kept, at most, on average over samples.
        low, high: interval for that share given this sample.
        positives: how many the cut was set by.
    """

    value: float
    rate: float
    low: float
    high: float
    positives: int


def cuts_by_group(evidence: Floats, group: NDArray[np.str_], rate: float) -> dict[str, Cut]:
    """Set a cut for each group that has positives enough, and one for all others, under "".

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
    """Return the rule that keeps what is below its group's cut."""
    default = number(cuts[""].value)
    if by is None:
        return f"evidence < {default}"
    quoted = {name.replace("'", "''"): cut for name, cut in cuts.items() if name}
    cases = " ".join(f"when '{name}' then {number(cut.value)}" for name, cut in quoted.items())
    group = f"coalesce(({by})::varchar, '')"
    return f"evidence < case {group} when '' then {default} {cases} else {default} end"


def conformal_cut(positives: Floats, rate: float) -> Cut:
    """Set the cut so that at most a share of relevant documents has less evidence.

    Split conformal prediction with its finite-sample correction: the floor(rate * (n + 1))-th
    smallest evidence on n positives that the model has not seen. If unlabelled relevant documents
    are like the labelled ones, the share below it is at most `rate` on average, and follows a beta
    distribution given the positives (Vovk, ACML 2012); `low` and `high` are its 95 % interval.

    Args:
        positives: evidence on known positives.
        rate: between 0 and 1.

    Raises:
        UsageError: there are too few positives for so small a rate.
    """
    n = len(positives)
    below = int(np.floor(rate * (n + 1)))
    if below < 1:
        raise UsageError(
            f"--target-fn-rate {rate:g} needs {int(np.ceil(1 / rate)) - 1:,} known positives.",
            why=f"The sources found {n:,} of them.",
            fix="Take a higher rate, more queries, or mine deeper.",
        )
    tail = (1 - CONFIDENCE) / 2
    low, high = betaincinv(below, n + 1 - below, [tail, 1 - tail])
    return Cut(float(np.sort(positives)[below - 1]), rate, float(low), float(high), n)
