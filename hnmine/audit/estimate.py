"""The share of false negatives by judgements: counts with intervals, in total and by group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from hnmine.audit.shortcuts import ADVICE, WARN_FROM
from hnmine.intervals import TAIL, clopper_pearson, sampled_interval
from hnmine.printable import aligned, fitted, shell
from hnmine.ragged import Floats, Ints
from hnmine.results import Result
from hnmine.schema import RELEVANT
from hnmine.sheets.draw import Draw

WORST_QUERIES = MOST_DOUBTFUL = 10

ONE_SIDED = 0.25
"""Queries, all of whose negatives are alike, that are added to the variance between queries: where
few negatives are false, those seen may by chance be spread over more queries than usual."""


@dataclass(frozen=True)
class Estimate:
    """A share, such as that of false negatives, by judgements.

    Attributes:
        rate: the share; NaN if nothing is known, or what is known is no random sample.
        low, high: its 95 % interval. Without a random sample, all that is possible.
        negatives: number of negatives.
        known: number of these with a judgement.
        relevant: number of these that are relevant.
    """

    rate: float
    low: float
    high: float
    negatives: int
    known: int
    relevant: int = 0


def over_queries(values: Floats, query: Ints) -> Estimate:
    """Return the mean of judgements of 0 or 1 over negatives.

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

    The values of a query are alike, so the query is what was sampled. The interval is that of
    Clopper and Pearson for as many independent trials as have the same variance (Korn and Graubard,
    Survey Methodology 1998).

    Args:
        sums: shape (queries,).
        counts: shape (queries,), none of them 0.
        values: number of values, known or not.
    """
    queries, known = len(sums), int(counts.sum())
    rate = float(sums.sum() / known)
    trials = float(queries)
    if 0 < rate < 1 and queries > 1:
        one_sided = known / queries * max(rate, 1 - rate)
        squares = ((sums - rate * counts) ** 2).sum() + ONE_SIDED * one_sided**2
        variance = squares * queries / (queries - 1) / known**2
        narrow, wide = (student.ppf(1 - TAIL, n - 1) for n in (known, queries))
        trials = min(known, rate * (1 - rate) / variance) * (narrow / wide) ** 2
    low, high = clopper_pearson(rate * trials, trials)
    return Estimate(rate, low, high, values, known, round(float(sums.sum())))


def of_sheet(verdicts: Floats, draw: Draw, waiting: int = 0) -> Estimate:
    """Return the share of false negatives by the verdicts of a sheet.

    Negatives that were not drawn evenly are counted as they were judged. The unjudged others are
    like the sample: the interval of their number is exact (`sampled_interval`). What is unjudged
    for another reason counts as relevant at the upper end, and as not at the lower.

    Args:
        verdicts: of each negative, from 0 to 1: relevant from 0.5 on, NaN if not judged.
        draw: the judged sample.
        waiting: negatives without a verdict that could not be drawn.
    """
    known = verdicts[np.isfinite(verdicts)]
    relevant = int((known >= RELEVANT).sum())
    rest = len(verdicts) - len(known) - waiting
    missing = draw.size - draw.judged
    least = sampled_interval(draw.relevant, draw.size, draw.population)[0]
    most = sampled_interval(draw.relevant + missing, draw.size, draw.population)[1]
    least, most = (min(max(end - draw.relevant, 0), rest) for end in (least, most))
    likely = np.nan if draw.fault else 0.0
    if rest and not draw.fault:
        likely = rest * draw.relevant / draw.judged if draw.judged else np.nan
    total = max(len(verdicts), 1)
    counts = (likely + waiting / 2, least, most + waiting)
    rate, low, high = (float((relevant + count) / total) for count in counts)
    return Estimate(rate, low, high, len(verdicts), len(known), relevant)


def how_to_judge(mined: object) -> str:
    """Return the sentence that a rate needs judgements, with the commands."""
    machine = shell(["hnmine", "judge", mined])
    person = shell(["hnmine", "review", mined])
    return (
        "How many negatives are false is unknown: a rate needs judgements. Get them with "
        f"`{machine} --endpoint URL --llm NAME` or `{person}`."
    )


@dataclass(frozen=True)
class Doubtful:
    """A negative by its doubt.

    Attributes:
        query_id, doc_id: its ids.
        relevance: a score that orders.
        margin: score of the positive minus its own.
        query: the query's text; None if it cannot be read.
    """

    query_id: str
    doc_id: str
    relevance: float
    margin: float
    query: str | None = None


@dataclass(repr=False)
class Audit(Result):
    """The result of `hnmine audit`.

    Attributes:
        mined: the directory.
        negatives: number of chosen negatives.
        estimates: by what judged them: `qrels`, `verdicts`; empty without judgements.
        groups: by kind of group, then group: the estimate from qrels.
        worst: the queries with the most false negatives by qrels, and their number.
        doubtful: the most doubtful negatives, in order.
        notes: on the judgements, a sentence each.
        proved: what `filter --max-false` proved, a sentence each.
        shortcuts: AUC of each shortcut; from `WARN_FROM` on, a warning is shown.
    """

    mined: str
    negatives: int
    estimates: dict[str, Estimate] = field(default_factory=dict)
    groups: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    worst: dict[str, int] = field(default_factory=dict)
    doubtful: Sequence[Doubtful] = ()
    notes: list[str] = field(default_factory=list)
    proved: list[str] = field(default_factory=list)
    shortcuts: dict[str, float] = field(default_factory=dict)

    def add_judged(
        self, values: Floats, query: Ints, groups: Mapping[str, NDArray[np.str_]]
    ) -> None:
        """Add the estimates by qrels, in total and by group.

        Args:
            values: 1 for a negative judged relevant, else 0; NaN if not judged.
            query: of each negative.
            groups: by kind: the group of each negative.
        """
        self.estimates["qrels"] = over_queries(values, query)
        if not self.estimates["qrels"].known:
            return
        self.groups = {
            kind: {
                str(group): over_queries(values[members == group], query[members == group])
                for group in sorted(np.unique(members), key=_in_order)
            }
            for kind, members in groups.items()
        }

    @property
    def judged(self) -> bool:
        """Whether a negative was judged."""
        return any(estimate.known for estimate in self.estimates.values())

    def estimate_lines(self) -> Iterator[str]:
        """Return the lines with the estimates; without judgements, how to get them."""
        yield f"{self.negatives:,} negatives"
        if self.judged:
            yield "share of false negatives with its 95 % interval"
        yield from _rows(self.estimates.items())
        yield from self.notes
        yield from self.proved
        if not self.judged and not self.proved and self.negatives:
            yield how_to_judge(self.mined)
        if self.doubtful:
            yield "most doubtful negatives"
            head = ("  query", "document", "relevance", "margin")
            rows = (
                (f"  {one.query or one.query_id}", one.doc_id, *_scores(one))
                for one in self.doubtful
            )
            yield from fitted([head, *rows], "<<>>")

    def lines(self) -> Iterator[str]:
        """Return the lines for a terminal."""
        yield from self.estimate_lines()
        for kind, groups in self.groups.items():
            yield f"by {kind}"
            yield from _rows(groups.items())
        yield from self.uncleaned_lines()
        if self.worst:
            yield "queries with the most false negatives"
            yield from aligned((f"  {query}", f"{n:,}") for query, n in self.worst.items())
        yield from self.shortcut_lines()
        yield from (f"warning: {said}" for said in self.warnings().values())

    def uncleaned_lines(self) -> Iterator[str]:
        """Name the ranks that the filter cleans surely worse than the others.

        A filter that misses some false negatives bounds how deep a choice may go (Stroebl, Kapoor
        and Narayanan, "Inference Scaling fLaws", 2024). Only judgements show where that is.
        """
        total = self.estimates.get("qrels")
        for band, found in self.groups.get("rank", {}).items():
            if total and found.known and found.low > total.high:
                yield (
                    f"warning: of the negatives at ranks {band}, {found.rate:.1%} are false, "
                    f"surely more than of all ({total.rate:.1%}). The filter does not clean these "
                    "ranks: choose others with --depth, --range-min or --range-max."
                )

    def shortcut_lines(self) -> Iterator[str]:
        """Write the shortcuts for a terminal."""
        if self.shortcuts:
            yield "AUC of each shortcut alone, positives against negatives (0.5 = no signal)"
            yield from aligned(
                (f"  {name}", "unknown" if np.isnan(auc) else f"{auc:.2f}")
                for name, auc in self.shortcuts.items()
            )

    def warnings(self) -> dict[str, str]:
        """Return what to do about each shortcut that is too good, by its name."""
        return {
            name: f"AUC of {name} alone {auc:.2f}: a retriever may learn it instead of relevance. "
            f"{ADVICE[name]}"
            for name, auc in self.shortcuts.items()
            if auc >= WARN_FROM
        }


def _in_order(group: str) -> tuple[float, str]:
    """Sort bands such as `from 10` by their number, and other groups by name."""
    try:
        return float(group.removeprefix("from ")), ""
    except ValueError:
        return 0.0, group


def _scores(one: Doubtful) -> list[str]:
    return ["-" if np.isnan(x) else f"{x:.2f}" for x in (one.relevance, one.margin)]


def _rows(estimates: Iterable[tuple[str, Estimate]]) -> Iterator[str]:
    return aligned(((f"  {name}", in_words(one)) for name, one in estimates), "<<")


def in_words(estimate: Estimate) -> str:
    """Return a share with its interval and the counts that it rests on."""
    if not estimate.known:
        return "unknown: no negative was judged"
    rate, low, high = (
        f"{100 * share:.2f} %" for share in (estimate.rate, estimate.low, estimate.high)
    )
    share = f"{100 * estimate.known / estimate.negatives:.1f} %"
    judged = (
        f"{estimate.relevant:,} of {estimate.known:,} judged are false; {share} of the "
        f"{estimate.negatives:,} negatives were judged"
    )
    if np.isnan(estimate.rate):
        return f"between {low} and {high}: {judged}"
    if not estimate.rate:
        return f"at most {high}: {judged}"
    return f"{rate} ({low} to {high}): {judged}"
