"""What share of the negatives is likely false: estimates with intervals, in all and by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.stats import beta, norm

from hnmine.audit.shortcuts import ADVICE, WARN_FROM
from hnmine.printable import without_nan
from hnmine.ragged import Floats, Ints
from hnmine.results import Result
from hnmine.schema import RELEVANT

RESAMPLES = 1000
MOST_RESAMPLED = 5000
"""Queries that resampling holds in memory, `RESAMPLES` times; 80 MB."""

CONFIDENCE = 0.95
WORST_QUERIES = 10

KNOWN = {
    "p_relevant": "estimated for {known} of {all}",
    "qrels": "{known} of {all} are of queries with judgements",
    "verdicts": "{known} of {all} judged",
}
"""What it means that something is known of a negative, by what an estimate rests on."""


@dataclass(frozen=True)
class Estimate:
    """A share of false negatives.

    Attributes:
        rate: the share.
        low, high: its 95 % interval.
        negatives: how many it is about, or was drawn from.
        known: how many of them have a chance or a judgement.
    """

    rate: float
    low: float
    high: float
    negatives: int
    known: int


def over_queries(values: Floats, query: Ints) -> Estimate:
    """Average a chance, or a judgement of 0 or 1, over negatives; NaN is not known.

    The interval resamples queries, because what is wrong with one negative of a query is often
    wrong with others. Where all values are alike, resampling shows nothing, and the interval is
    that of Clopper and Pearson for as many trials as queries.

    Args:
        values: one for each negative.
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
    """Do what `over_queries` does, from the sum and the count of the known values of each query.

    With many queries the interval is that of the normal distribution which resampling tends to.

    Args:
        sums: shape (queries,).
        counts: shape (queries,), none of them 0.
        values: how many there are, known or not.
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
    """Estimate the share from verdicts: what was judged is known, the rest is like an even sample.

    The interval takes the rate of the rest from Clopper and Pearson, and of what was doubtful and
    is not judged all for relevant at its upper end, none at its lower; the estimate takes half.

    Args:
        verdicts: of each negative, from 0 to 1; from 0.5 on relevant, NaN not judged.
        even: verdicts on an even sample of the negatives that were not doubtful. Those that were
            judged relevant need not be negatives any more.
        waiting: negatives that are not judged, and were not drawn evenly: they were doubtful.
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
    """Draw negatives so that every one is as likely as any other, from all grades of suspicion.

    Systematic sampling along the order of suspicion: it is stratified, and needs no weights.

    Args:
        suspicion: of each negative; what is unknown counts as the least.
        size: how many to draw, at most all.
        seed: of the start.

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
    """What `hnmine audit` found.

    Attributes:
        negatives: how many were chosen.
        estimates: by what they rest on: `p_relevant`, `qrels`, `verdicts`.
        groups: by kind of group, then group: the estimate from the best that there is.
        worst: queries with most negatives that are likely false, and how many.
        shortcuts: how well each tells positives from negatives, as an AUC; what to do about one is
            said from `WARN_FROM` on.
    """

    negatives: int
    estimates: dict[str, Estimate] = field(default_factory=dict)
    groups: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)
    shortcuts: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, values: Floats, query: Ints, groups: Mapping[str, Any]) -> None:
        """Add an estimate, and make it that of the groups and of the worst queries.

        Args:
            name: what it rests on.
            values: chance or judgement for each negative.
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

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values; what is unknown is null."""
        found: dict[str, Any] = without_nan(asdict(self))
        return found

    def estimate_lines(self) -> Iterator[str]:
        """Write the estimates for a terminal."""
        yield f"{self.negatives:,} negatives; share that is likely false, with its 95 % interval"
        for name, estimate in self.estimates.items():
            yield f"  {name:<12} {_shown(estimate, name)}"

    def lines(self) -> Iterator[str]:
        """Write the audit for a terminal."""
        yield from self.estimate_lines()
        judged = "qrels" in self.estimates and self.estimates["qrels"].known
        grouped = "qrels" if judged else "p_relevant"
        for kind, groups in self.groups.items():
            yield f"by {kind}"
            for group, estimate in groups.items():
                yield f"  {group:<12} {_shown(estimate, grouped)}"
        if self.worst:
            yield "queries with most"
            for query, count in self.worst.items():
                yield f"  {query:<24} {count:.2f} expected false negatives"
        yield from self.shortcut_lines()

    def shortcut_lines(self) -> Iterator[str]:
        """Write the shortcuts for a terminal, with a warning about each that is too good."""
        if self.shortcuts:
            yield "shortcuts: AUC of each one alone, positives against negatives (0.5: no signal)"
        for name, auc in self.shortcuts.items():
            yield f"  {name:<12} {'unknown' if np.isnan(auc) else f'AUC {auc:.2f}'}"
            if auc >= WARN_FROM:
                yield f"    warning: a retriever may learn this instead. {ADVICE[name]}"

    def check(self) -> None:
        """Raise nothing: an audit finds no faults, only shares."""


def _in_order(group: str) -> tuple[float, str]:
    """Bands such as `from 10` come by their number, other groups by their name."""
    try:
        return float(group.removeprefix("from ")), ""
    except ValueError:
        return 0.0, group


def _shown(estimate: Estimate, name: str) -> str:
    if not estimate.known:
        return "nothing is known"
    rate, low, high = (
        f"{100 * share:.2f} %" for share in (estimate.rate, estimate.low, estimate.high)
    )
    interval = f"{rate} ({low} to {high})"
    if np.isnan(estimate.rate):  # Nobody has judged any of an even sample.
        interval = f"between {low} and {high}"
    known = KNOWN[name].format(known=f"{estimate.known:,}", all=f"{estimate.negatives:,}")
    return f"{interval}, {known}"
