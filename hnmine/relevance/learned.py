"""What `filter` learned about the candidates, as relevance.json holds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hnmine.errors import damage_explained
from hnmine.ragged import Floats
from hnmine.relevance.depth_rule import USUAL, DepthRule
from hnmine.relevance.model import Relevance
from hnmine.relevance.pu_learning import DIGITS
from hnmine.relevance.shortcut_price import Shortcut
from hnmine.runner.plan import canonical_json

RELEVANCE = "relevance.json"
"""The file in a mined directory."""

SIGNIFICANT = 2.0
"""Standard errors by which another depth must be better."""

FEWEST_QUERIES = 50
"""Queries to compare a teacher on: with fewer, even large differences are chance."""

FAIR_SOURCES = ("bm25", "random", "matching")
"""Sources that know neither the bi-encoder nor a judge."""

Advice = Literal["distil", "contrast", "unknown"]


AS_MUCH = 0.015
"""Log2 of a soft rank, about one percent: a gain that is surely less is not worth the risk of false
negatives."""

MOST = 64.0
"""A gain in log2 is less: no rank has more digits."""


class Gain(BaseModel):
    """The mean of paired differences in log2 of a soft rank, and its standard error."""

    model_config = ConfigDict(frozen=True)

    gain: float = Field(ge=-MOST, le=MOST)
    error: float = Field(ge=0, le=MOST)

    @classmethod
    def of(cls, differences: Floats) -> Gain:
        """Return the mean of differences and its standard error; 0 with fewer than two."""
        n = len(differences)
        if n < 2:
            return cls(gain=0.0, error=0.0)
        error = differences.std(ddof=1) / n**0.5
        return cls(gain=round(float(differences.mean()), DIGITS), error=round(float(error), DIGITS))

    @property
    def significant(self) -> bool:
        """Whether the gain is larger than chance explains."""
        return self.gain > SIGNIFICANT * self.error

    @property
    def ranks(self) -> float:
        """By what share positives rank higher."""
        return float(2**self.gain) - 1

    @property
    def deviations(self) -> str:
        """The size of the gain in standard errors, as text."""
        if not self.error:
            return "the same in every query"
        return f"{abs(self.gain) / self.error:.1f} standard errors"


class GainAtDepth(Gain):
    """A gain and the depth that it was measured at."""

    depth: float


class DepthTrial(BaseModel):
    """How linear probes trained on the negatives of each depth ranked unseen positives.

    Attributes:
        queries: that the probes were trained and measured on.
        usual: the depth by rule; in files of earlier versions, 20.
        over_usual: gain of each other depth over it.
        over_random: gain of the chosen depth over random negatives.
        below_the_positive: gain of the best shallow depth without documents that score above
            the positive; None if no shallow depth was better.
    """

    model_config = ConfigDict(frozen=True)

    queries: int
    usual: float = Field(default=USUAL, ge=0, allow_inf_nan=False)
    over_usual: dict[str, Gain]
    over_random: Gain
    below_the_positive: GainAtDepth | None = None

    def sentences(self, depth: float) -> list[str]:
        """Say which depth was chosen and why, and whether random negatives teach as much."""
        return [self._choice(depth), *self._random()]

    def _choice(self, depth: float) -> str:
        below, usual = self.below_the_positive, f"{self.usual:g}"
        if gain := self.over_usual.get(f"{depth:g}"):
            where = ", below the positive's score" if below else ""
            gain = below or gain
            return (
                f"Depth {depth:g}{where}: linear probes trained on it rank the positives of other "
                f"queries {gain.ranks:.1%} higher than those of depth {usual}, which is the "
                f"rule's ({gain.deviations}, {self.queries} queries)."
            )
        if below:
            return (
                f"Depth {usual} by rule: at {below.depth:g} linear probes ranked better on "
                f"{self.queries} queries, but only with documents that score above the positive. "
                "Those can harm a full encoder."
            )
        others = ", ".join(sorted(self.over_usual, key=float))
        return (
            f"Depth {usual} by rule: at {others} linear probes did not rank significantly better "
            f"on {self.queries} queries."
            if others
            else f"Depth {usual} by rule: no other is within reach."
        )

    def _random(self) -> list[str]:
        found = self.over_random
        use = "`mine --source random:20` and `filter --order random_rank`"
        if found.gain < -SIGNIFICANT * found.error:
            return [
                f"Random negatives trained better probes ({found.deviations}). Use them with {use},"
                " or add a better --judge."
            ]
        most = found.gain + SIGNIFICANT * found.error
        if most >= AS_MUCH:
            return []
        return [
            "Random negatives teach as much here: probes of the chosen ones rank positives at most "
            f"{max(0.0, 2**most - 1):.1%} higher. They are safer: {use}."
        ]


class TeacherTrial(BaseModel):
    """How judges rank known positives, compared with the bi-encoder.

    Attributes:
        queries: with a positive and at least one candidate of the pool.
        candidates: mean number of them for each query.
        needed: standard errors by which a judge must differ, by a paired t-test for all judges.
        over_bi_encoder: by judge: the gain in log2 of the positive's rank, paired over queries.
    """

    model_config = ConfigDict(frozen=True)

    queries: int
    candidates: float
    needed: float
    over_bi_encoder: dict[str, Gain]

    @property
    def advice(self) -> Advice:
        """Distil if a judge is significantly better, contrast if all are significantly worse."""
        if self.queries < FEWEST_QUERIES:
            return "unknown"
        best = self._best[1]
        if best.gain > self.needed * best.error:
            return "distil"
        gains = self.over_bi_encoder.values()
        worse = all(-one.gain > self.needed * one.error for one in gains)
        return "contrast" if worse else "unknown"

    @property
    def _best(self) -> tuple[str, Gain]:
        """The judge that is better by most standard errors, and its gain."""
        return max(
            self.over_bi_encoder.items(), key=lambda item: item[1].gain / max(item[1].error, 1e-9)
        )

    @property
    def sentence(self) -> str:
        """The advice and its evidence."""
        if self.queries < FEWEST_QUERIES:
            return (
                f"Contrast or distil is unknown: {self.queries} queries have a positive and "
                f"candidates from {' or '.join(FAIR_SOURCES)}, and {FEWEST_QUERIES} are needed."
            )
        judge, best = self._best
        higher = f"{abs(2**best.gain - 1):.0%} {'higher' if best.gain >= 0 else 'lower'}"
        found = (
            f"{judge} ranks known positives {higher} than the bi-encoder "
            f"({best.deviations}, {self.queries} queries)"
        )
        if self.advice == "distil":
            return f"Distil with `hnmine export --to kd --scores {judge}`: {found}."
        if self.advice == "contrast":
            return f"Train with a contrastive loss rather than distil: {found}."
        return f"Contrast or distil is unknown: {found}."


class Learned(Relevance):
    """The model of relevance, and what else `filter` learned.

    Attributes:
        place: the expression for how deep a candidate is.
        where: rules that the chosen depth needs.
        depth: mean depth that the default choice aims at.
        rule: the depth by rule and its reason; None where --depth or another choice decides.
        price_of_depth: what a rank costs for that.
        shortcut_prices: by shortcut, what a negative costs that is told from the positives by it.
        safer_prices: lower prices, for deeper choices; None unless something is to be proved.
        trial: how depths compared; None where none was tried.
        out_of_reach: why the chosen ones of the sample do not have that depth; empty if they do.
        teacher: how judges rank the known positives; None without a judge or a bi-encoder.
    """

    place: str
    where: tuple[str, ...] = ()
    depth: float = USUAL
    rule: DepthRule | None = None
    price_of_depth: float
    shortcut_prices: dict[Shortcut, float] = Field(default_factory=dict)
    safer_prices: tuple[float, ...] | None = None
    trial: DepthTrial | None = None
    out_of_reach: str = ""
    teacher: TeacherTrial | None = None

    @property
    def headlines(self) -> list[str]:
        """Which depth was chosen, what was out of reach, and whether to distil."""
        if self.trial:
            said = self.trial.sentences(self.depth)
        else:
            said = [f"Depth {self.depth:g} by rule: {self.rule.reason}."] if self.rule else []
        reach = [self.out_of_reach] if self.out_of_reach else []
        return [*said, *reach, *([self.teacher.sentence] if self.teacher else [])]

    @property
    def sentences(self) -> list[str]:
        """The headlines, and why the depth is what it is."""
        said = self.headlines
        if self.rule and self.trial:
            said.append(f"{self.rule.reason[0].upper()}{self.rule.reason[1:]}.")
        if self.where:
            said.append(
                "At this depth, negatives must score below the positive. They may be deeper."
            )
        return said

    def as_json(self) -> dict[str, object]:
        """Return everything as JSON values, without what was not learned."""
        return self.model_dump(exclude_none=True)


def write_learned(learned: Learned | None, path: Path) -> None:
    """Write relevance.json; an empty object if nothing was learned."""
    path.write_text(canonical_json(learned.as_json() if learned else {}), encoding="utf-8")


def read_learned(path: Path) -> Learned | None:
    """Return what was learned; None if nothing was.

    Raises:
        InputError: the file is missing or damaged.
    """
    with damage_explained(path):
        values = json.loads(path.read_text(encoding="utf-8"))
        if values == {}:
            return None
        learned = Learned.model_validate(values)
        # Built here, so that damage in them is an error about this file.
        _ = learned.weights, learned.sentences
        return learned
