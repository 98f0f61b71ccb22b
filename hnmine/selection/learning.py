"""What `filter` learns from a sample of the queries before it applies rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hnmine.choose import choose
from hnmine.expressions.evaluation import evaluate, truth
from hnmine.ragged import Bools, Floats, Ints
from hnmine.relevance.depth_price import cost, mean_depth, nearest, price_of_depth, safer_prices
from hnmine.relevance.depth_rule import SHALLOW, USUAL, DepthRule, Rows, depth_by_rule
from hnmine.relevance.depth_trial import TrialRows, try_depths
from hnmine.relevance.evidence import numbers
from hnmine.relevance.learned import DepthTrial, Learned
from hnmine.relevance.model import Relevance, Sample
from hnmine.relevance.shortcut_price import Shortcut, prices_of_shortcuts, shortcut_cost
from hnmine.relevance.teacher import try_teachers
from hnmine.runner.run_directory import Tick
from hnmine.selection.criteria import Choice, Goals, Rules
from hnmine.selection.rules import BELOW_THE_POSITIVE
from hnmine.selection.scored_candidates import ScoredCandidates
from hnmine.selection.verdicts import RELABELLED, Verdicts

NEVER = ("near-copy", "not-finite", "same-score", "verdict", RELABELLED)
"""Reasons of candidates that are no negatives at any depth."""

NEARLY = 0.5
"""Ranks by which the mean depth of the chosen ones may miss the depth aimed at."""


def learn(
    scored: ScoredCandidates, goals: Goals, rules: Rules, choice: Choice, tick: Tick
) -> Learned:
    """Learn the relevance model, and the depth and its price among what the rules leave.

    Args:
        scored: candidates and judges.
        goals: what is to be learned.
        rules: that drop candidates, whatever is learned.
        choice: which survivors may be chosen, and how many.
        tick: reports progress.
    """
    table = scored.sample(tick)
    sample = scored.sample_of(table)
    model = Relevance.learn(sample)
    estimated = scored.estimated(table, model, sample)
    relevance = numbers(estimated["relevance"])  # As rounded as the order will see it.
    verdicts = Verdicts(estimated, rules, choice)
    eligible, asked = verdicts.eligible, verdicts.asked
    depth_of = numbers(evaluate(table, {"place": scored.place}, sample.candidate)["place"])
    among = sample.candidate & ~np.isin(verdicts.reason, NEVER)
    below = truth(
        evaluate(table, {"below": BELOW_THE_POSITIVE}, sample.candidate)["below"],
        BELOW_THE_POSITIVE,
    )
    aim = _aim(scored, goals, TrialRows(table, eligible, below, relevance, depth_of), sample, model)
    kept = below if aim.where else np.ones(len(below), dtype=bool)
    pool = _Pool(sample.query, eligible & kept, among, relevance, depth_of, asked, aim.depth)
    shortcuts: dict[Shortcut, float] = {}
    above: dict[Shortcut, Floats] = {}
    if not (goals.chooses_otherwise or goals.strata or goals.quota):
        above = scored.positives_above(table)
        shortcuts = prices_of_shortcuts(pool.query, above, pool.chosen)
    extra = shortcut_cost(above, shortcuts)
    price = pool.price(extra)
    reached = mean_depth(depth_of, pool.chosen_at(price, extra))
    return Learned(
        **dict(model),
        place=scored.place,
        where=aim.where,
        depth=aim.depth,
        rule=aim.rule,
        price_of_depth=price,
        shortcut_prices=shortcuts,
        safer_prices=None
        if goals.max_false is None or goals.chooses_otherwise
        else pool.safer_prices(price, extra),
        trial=aim.trial,
        # A cascade leaves no fair pool: a rule about one judge may have emptied it.
        teacher=None if scored.cascade else try_teachers(sample),
        out_of_reach=""
        if goals.chooses_otherwise
        else _out_of_reach(aim, reached, nearest(pool.query, among & kept, depth_of, asked)),
    )


@dataclass(frozen=True)
class _Pool:
    """Rows to choose from, and the mean depth aimed at; the fields are those of the prices."""

    query: Ints
    eligible: Bools
    among: Bools
    relevance: Floats
    depth: Floats
    asked: Ints
    aim: float

    def price(self, extra: Floats | float) -> float:
        """Return the price of depth where each row costs something more."""
        rows = (self.query, self.eligible, self.among, self.relevance, self.depth)
        return price_of_depth(*rows, self.asked, self.aim, extra)

    def chosen(self, extra: Floats | float) -> Bools:
        """Return the rows chosen at that price."""
        return self.chosen_at(self.price(extra), extra)

    def chosen_at(self, price: float, extra: Floats | float) -> Bools:
        """Return the rows chosen at a price of depth."""
        order = cost(self.relevance) + price * np.nan_to_num(self.depth) + extra
        return choose(self.query, self.eligible, order, self.asked)

    def safer_prices(self, price: float, extra: Floats | float) -> tuple[float, ...]:
        """Return lower prices of depth; see `safer_prices`."""
        rows = (self.query, self.eligible, self.relevance, self.depth)
        return safer_prices(*rows, self.asked, price, extra)


@dataclass(frozen=True)
class _Aim:
    """The mean depth that the choice aims at, why, and the rules that it needs."""

    depth: float
    rule: DepthRule | None = None
    trial: DepthTrial | None = None
    where: tuple[str, ...] = ()


def _aim(
    scored: ScoredCandidates, goals: Goals, rows: TrialRows, sample: Sample, model: Relevance
) -> _Aim:
    """Return the depth asked for; else the one by the rule, or by the trial that it starts from."""
    if goals.depth is not None or goals.chooses_otherwise:
        return _Aim(USUAL if goals.depth is None else goals.depth)
    rule = depth_by_rule(Rows(sample.query, sample.candidate, sample.is_positive, rows.depth))
    if not model.fitted:
        return _Aim(rule.depth, rule)
    how = goals.num_negatives, goals.cpu_threads
    depth, trial = try_depths(scored.candidates, rows, rule, *how)
    stays_below = rule.stays_below if depth == rule.depth else depth <= SHALLOW
    return _Aim(depth, rule, trial, (BELOW_THE_POSITIVE,) if stays_below else ())


def _out_of_reach(aim: _Aim, reached: float, nearest_of_all: float) -> str:
    """Say that the chosen negatives are nearer or deeper than asked; nothing if they are not.

    Rules that come with the depth may make them deeper: there is nothing to loosen.

    Args:
        aim: the depth aimed at.
        reached: mean depth of the negatives chosen from the sample; NaN without any.
        nearest_of_all: mean depth of the nearest candidates, whatever the rules.
    """
    depth = aim.depth
    says = f"Depth {depth:g} is out of reach: negatives have mean rank {reached:.1f} in a sample"
    if reached < depth - NEARLY:
        return f"{says}, and no deeper ones are safer. Mine deeper (--top-k), or lower --depth."
    if not aim.where and reached > max(depth, nearest_of_all) + NEARLY:
        return f"{says}, as the rules leave too few nearer ones. Loosen them, or raise --depth."
    return ""
