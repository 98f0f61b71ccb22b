"""The share of false negatives: estimates with intervals, in total and by group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from hnmine.audit.shortcuts import ADVICE, WARN_FROM
from hnmine.printable import aligned, without_nan
from hnmine.ragged import Floats, Ints
from hnmine.results import Json, Result
from hnmine.schema import RELEVANT

RESAMPLES = 1000
MOST_RESAMPLED = 5000
"""Queries up to which the interval is resampled; more would take over 80 MB."""

CONFIDENCE = 0.95
WORST_QUERIES = 10

KNOWN = {
    "p_relevant": "estimated for {known} of {all}",
    "qrels": "{known} of {all} are of queries with judgements",
    "verdicts": "{known} of {all} judged",
}
"""How many negatives each estimate knows about, in words."""


@dataclass(frozen=True)
class Estimate:
    """A share of false negatives.

    Attributes:
        rate: the share.
        low, high: its 95 % interval.
        negatives: number of negatives.
        known: number of these with a probability or a judgement.
    """

    rate: float
    low: float
    high: float
    negatives: int
    known: int


def over_queries(values: Floats, query: Ints) -> Estimate:
    """Return the mean of a probability, or of a judgement of 0 or 1, over negatives.

    The interval resamples queries, as errors of one query are often shared by its negatives. Where
    all values are equal, it is that of Clopper and Pearson with a trial for each query.

    Args:
        values: of each negative; NaN if unknown.
        query: of each negative; any numbers.
    """
    known = np.isfinite(values)
    values = values[known]
    if not len(values):
        return Estimate(np.nan, 0.0, 1.0, len(known), 0)
    _, owner = np.unique(query[known], return_inverse=True)
    sums = np.bincount(owner, values).astype(np.float64)
    return of_sums(sums, np.bincount(owner), len(known))


def of_sums(sums: Floats, counts: Ints, values: int) -> Estimate:
    """Return the estimate of `over_queries` from the sum and the count of known values by query.

    With many queries the interval is that of the normal distribution, the limit of resampling.

    Args:
        sums: shape (queries,).
        counts: shape (queries,), none of them 0.
        values: number of values, known or not.
    """
    queries, known = len(sums), int(counts.sum())
    rate = float(sums.sum() / known)
    if rate in (0.0, 1.0):
        low, high = clopper_pearson(round(rate * queries), queries)
    elif queries > MOST_RESAMPLED:
        error = np.sqrt(((sums - rate * counts) ** 2).sum()) / known
        low, high = np.clip(norm.interval(CONFIDENCE, rate, error), 0, 1)
    else:
        drawn = np.random.default_rng(0).multinomial(queries, [1 / queries] * queries, RESAMPLES)
        rates = (drawn @ sums) / (drawn @ counts)
        tail = 50 * (1 - CONFIDENCE)
        low, high = np.percentile(rates, [tail, 100 - tail])
    return Estimate(rate, float(low), float(high), values, known)


def of_sheet(verdicts: Floats, even: Floats, waiting: int = 0) -> Estimate:
    """Return the share of false negatives by verdicts; the unjudged are like an even sample.

    The interval takes the rate of the unjudged from Clopper and Pearson. Doubtful negatives that
    wait for a verdict count as all relevant at its upper end, and as none at its lower; the
    estimate counts half of them.

    Args:
        verdicts: of each negative, from 0 to 1: relevant from 0.5 on, NaN if not judged.
        even: verdicts on an even sample of the negatives that were not doubtful. Those judged
            relevant may not be negatives any more.
        waiting: number of doubtful negatives without a verdict.
    """
    known, sampled = (values[np.isfinite(values)] for values in (verdicts, even))
    relevant, in_sample = (int((values >= RELEVANT).sum()) for values in (known, sampled))
    low, high = clopper_pearson(in_sample, len(sampled))
    rate = in_sample / len(sampled) if len(sampled) else np.nan
    rest = len(verdicts) - len(known) - waiting
    likely = relevant + (rate * rest if rest else 0) + waiting / 2
    least = relevant + np.floor(low * rest)
    most = relevant + waiting + np.ceil(high * rest)
    total = max(len(verdicts), 1)
    shares = [float(count / total) for count in (likely, least, most)]
    return Estimate(shares[0], shares[1], shares[2], len(verdicts), len(known))


def clopper_pearson(successes: int, trials: int) -> tuple[float, float]:
    """Return the exact 95 % interval for a probability (Clopper and Pearson, 1934)."""
    tail = (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = beta.ppf(1 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)


def even_sample(suspicion: Floats, size: int, seed: int) -> Ints:
    """Draw negatives with equal probability by systematic sampling in the order of suspicion.

    Args:
        suspicion: of each negative; NaN counts as the least.
        size: number to draw, at most all.
        seed: random seed.

    Returns:
        Ascending positions, shape (size,).
    """
    order = np.argsort(np.nan_to_num(suspicion, nan=-np.inf), kind="stable")
    size = min(size, len(order))
    start = np.random.default_rng(seed).random()
    places = np.floor((np.arange(size) + start) * len(order) / max(size, 1)).astype(np.int64)
    return np.sort(order[places])


@dataclass(repr=False)
class Audit(Result):
    """The result of `hnmine audit`.

    Attributes:
        negatives: number of chosen negatives.
        estimates: by basis: `p_relevant`, `qrels`, `verdicts`.
        groups: by kind of group, then group: the estimate from qrels, else from p_relevant.
        worst: the queries with the most expected false negatives, and their number.
        shortcuts: AUC of each shortcut; from `WARN_FROM` on, a warning is shown.
    """

    negatives: int
    estimates: dict[str, Estimate] = field(default_factory=dict)
    groups: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)
    shortcuts: dict[str, float] = field(default_factory=dict)

    def add(
        self, name: str, values: Floats, query: Ints, groups: Mapping[str, NDArray[np.str_]]
    ) -> None:
        """Add an estimate, and take it for the groups too.

        Args:
            name: its basis.
            values: probability or judgement of each negative.
            query: of each negative.
            groups: by kind: the group of each negative.
        """
        self.estimates[name] = over_queries(values, query)
        self.groups = {
            kind: {
                str(group): over_queries(values[members == group], query[members == group])
                for group in sorted(np.unique(members), key=_in_order)
            }
            for kind, members in groups.items()
        }

    def as_json(self) -> Json:
        """Return everything as JSON values; an unknown number is null."""
        found: Json = without_nan(asdict(self))
        return found

    def estimate_lines(self) -> Iterator[str]:
        """Return the lines with the estimates."""
        yield f"{self.negatives:,} negatives; share of false negatives with its 95 % interval"
        yield from _rows(self.estimates.items(), lambda name: name)

    def lines(self) -> Iterator[str]:
        """Return the lines for a terminal."""
        yield from self.estimate_lines()
        judged = "qrels" in self.estimates and self.estimates["qrels"].known
        for kind, groups in self.groups.items():
            yield f"by {kind}"
            yield from _rows(groups.items(), lambda _: "qrels" if judged else "p_relevant")
        if self.worst:
            yield "queries with the most expected false negatives"
            yield from aligned((f"  {query}", f"{n:.2f}") for query, n in self.worst.items())
        yield from self.shortcut_lines()

    def shortcut_lines(self) -> Iterator[str]:
        """Write the shortcuts for a terminal, with a warning about each that is too good."""
        if self.shortcuts:
            yield "AUC of each shortcut alone, positives against negatives (0.5 = no signal)"
            yield from aligned(
                (f"  {name}", "unknown" if np.isnan(auc) else f"{auc:.2f}")
                for name, auc in self.shortcuts.items()
            )
        for name, auc in self.shortcuts.items():
            if auc >= WARN_FROM:
                yield f"warning: a retriever may learn {name} instead. {ADVICE[name]}"


def _in_order(group: str) -> tuple[float, str]:
    """Sort bands such as `from 10` by their number, and other groups by name."""
    try:
        return float(group.removeprefix("from ")), ""
    except ValueError:
        return 0.0, group


def _rows(estimates: Iterable[tuple[str, Estimate]], basis: Callable[[str], str]) -> Iterator[str]:
    return aligned(((f"  {name}", _shown(one, basis(name))) for name, one in estimates), "<<")


def _shown(estimate: Estimate, basis: str) -> str:
    if not estimate.known:
        return "unknown"
    rate, low, high = (
        f"{100 * share:.2f} %" for share in (estimate.rate, estimate.low, estimate.high)
    )
    interval = f"{rate} ({low} to {high})"
    if np.isnan(estimate.rate):  # No negative of an even sample was judged.
        interval = f"between {low} and {high}"
    known = KNOWN[basis].format(known=f"{estimate.known:,}", all=f"{estimate.negatives:,}")
    return f"{interval}, {known}"
