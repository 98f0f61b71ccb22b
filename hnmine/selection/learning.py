"""What `filter` learns from a sample of the queries before it applies rules."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnmine.expressions.evaluation import evaluate, truth
from hnmine.ragged import Bools, Floats
from hnmine.relevance.calibration import Cut, curve, cut_expression, cuts_by_group
from hnmine.relevance.depth_price import price_of_depth
from hnmine.relevance.depth_trial import TrialRows, try_depths
from hnmine.relevance.evidence import numbers
from hnmine.relevance.learned import DEFAULT_DEPTH, Learned
from hnmine.relevance.model import Relevance, Sample
from hnmine.runner.run_directory import Tick
from hnmine.selection.criteria import Goals
from hnmine.selection.rules import BELOW_THE_POSITIVE
from hnmine.selection.scored_candidates import ScoredCandidates


def learn(scored: ScoredCandidates, goals: Goals, tick: Tick) -> Learned:
    """Learn the relevance model, the cut on the evidence, and the depth and its price.

    Raises:
        UsageError: there are too few positives for the goals.
    """
    table, asked = scored.sample(tick), goals.num_negatives
    sample = Sample(table, scored.columns, scored.candidates.sources)
    model = Relevance.learn(sample)
    estimates = model.estimate(sample)
    copies = pc.fill_null(table["near_copy"], 0).to_numpy() >= goals.near_copy
    eligible = sample.candidate & ~copies
    cuts, cut_rule = None, None
    if goals.target_fn_rate is not None:
        estimated = scored.estimated(table, model)
        cuts = _cuts(
            estimated, sample, estimates.evidence, goals.target_fn_rate, goals.calibrate_by
        )
        cut_rule = cut_expression(cuts, goals.calibrate_by)
        eligible &= _holds(estimated, cut_rule, sample)
    depth_of = numbers(evaluate(table, {"place": scored.place}, sample.candidate)["place"])
    depth, trial = goals.depth, None
    where: tuple[str, ...] = ()
    if depth is None and not goals.chooses_otherwise and model.share_of_relevant is not None:
        below = _holds(table, BELOW_THE_POSITIVE, sample)
        unlikely = estimates.p_relevant <= goals.highest_p_relevant
        rows = TrialRows(table, eligible & unlikely, below, estimates.relevance, depth_of)
        depth, trial = try_depths(scored.candidates, rows, asked, goals.cpu_threads)
        if depth < DEFAULT_DEPTH:  # The trial measured it with this rule.
            where = (BELOW_THE_POSITIVE,)
            eligible &= below
    depth = DEFAULT_DEPTH if depth is None else depth
    price = price_of_depth(sample.query, eligible, estimates.relevance, depth_of, asked, depth)
    known = model.share_of_relevant is not None
    points = curve(sample, estimates, eligible, price, depth_of, asked) if known else None
    return Learned(
        **dict(model),
        place=scored.place,
        where=where,
        depth=depth,
        price_of_depth=price,
        trial=trial,
        cuts=cuts,
        cut_rule=cut_rule,
        curve=points and list(points),
    )


def _holds(table: pa.Table, text: str, sample: Sample) -> Bools:
    return truth(evaluate(table, {"below": text}, sample.candidate)["below"], text)


def _cuts(
    table: pa.Table, sample: Sample, evidence: Floats, rate: float, by: str | None
) -> dict[str, Cut]:
    """Return the cut for a rate, of each group that the expression `by` makes."""
    group = np.full(table.num_rows, "", dtype=str)
    if by is not None:
        values = evaluate(table, {"group": by}, sample.candidate)["group"].cast(pa.string())
        group = values.fill_null("").to_numpy().astype(str)
    positive = sample.is_positive & sample.found
    return cuts_by_group(evidence[positive], group[positive], rate)
