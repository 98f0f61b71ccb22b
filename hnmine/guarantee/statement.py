"""What was proved about the written negatives, as guarantee.json holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hnmine.errors import damage_explained
from hnmine.guarantee.judge_errors import Hits
from hnmine.runner.plan import canonical_json

GUARANTEE = "guarantee.json"
"""The file in a mined directory."""


class StepTested(BaseModel):
    """A choice of negatives and how its test ended.

    Attributes:
        highest_relevance: candidates with a higher one are not chosen; None without such a rule.
        negatives: number of chosen negatives.
        mean_depth: of them.
        of_asked: share of the negatives asked for that it has.
        judged: negatives drawn and judged.
        relevant: those of them judged relevant.
        proved: whether the claim holds for this choice.
    """

    model_config = ConfigDict(frozen=True)

    highest_relevance: float | None
    negatives: int
    mean_depth: float
    of_asked: float
    judged: int
    relevant: int
    proved: bool


class Guarantee(BaseModel):
    """A proved bound.

    Attributes:
        max_false: highest share of the written negatives that is false.
        confidence: probability, over draws, that the bound holds.
        seed: of the draw.
        steps: the choices in the order of their tests; the last one proved was written.
        refuted: drawn negatives that were judged relevant and are not written.
        judges: who judged the drawn negatives.
        asked_depth: mean depth of the choice asked for.
        known_positives, hits: how many known positives a machine judged, and called relevant; None
            where the verdicts count as the truth.
    """

    model_config = ConfigDict(frozen=True)

    max_false: float
    confidence: float
    seed: int
    steps: list[StepTested]
    refuted: list[tuple[str, str]]
    judges: list[str]
    asked_depth: float | None = None
    known_positives: int | None = None
    hits: int | None = None

    @property
    def written(self) -> StepTested:
        """The choice that was written."""
        return [step for step in self.steps if step.proved][-1]

    @property
    def measured_hits(self) -> Hits | None:
        """The hits of the judge; None if its verdicts count as the truth."""
        if self.known_positives is None or self.hits is None:
            return None
        return Hits(self.known_positives, self.hits)

    def sentences(self) -> Iterator[str]:
        """Yield what was proved, by what, and what it rests on."""
        step = self.written
        yield (
            f"At most {percent(self.max_false)} of the {step.negatives - len(self.refuted):,} "
            f"negatives are false, with {percent(self.confidence)} confidence."
        )
        yield (
            f"{step.judged:,} drawn at random (seed {self.seed}) were judged by "
            f"{' and '.join(self.judges)}; {step.relevant:,} of these were relevant. Judged "
            f"negatives that are relevant are left out: {len(self.refuted):,}."
        )
        if hits := self.measured_hits:
            yield (
                f"The judge called {hits.found:,} of {hits.asked:,} known positives relevant that "
                "score like these negatives. The bound allows for what it misses at that rate."
            )
        else:
            yield "The bound takes these verdicts as the truth."
        if step.highest_relevance is not None:
            yield (
                f"To prove it, candidates with a relevance above {step.highest_relevance:.3g} were "
                f"not chosen; {percent(step.of_asked)} of the negatives asked for were found."
            )
        elif self.asked_depth is not None and step.mean_depth > self.asked_depth:
            yield (
                f"To prove it, deeper negatives were chosen: mean depth {step.mean_depth:g}, where "
                f"the choice asked for has {self.asked_depth:g}."
            )


def percent(share: float) -> str:
    """Return a share as a percentage with as many digits as it has, up to three decimals."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + " %"


def read_guarantee(path: Path) -> Guarantee | None:
    """Return what was proved of a mined directory; None if nothing was asked.

    Raises:
        InputError: the file is damaged.
    """
    file = path / GUARANTEE
    if not file.exists():
        return None
    with damage_explained(file):
        return Guarantee.model_validate(json.loads(file.read_text(encoding="utf-8")))


def write_guarantee(guarantee: Guarantee, path: Path) -> None:
    """Write guarantee.json."""
    path.write_text(canonical_json(guarantee.model_dump()), encoding="utf-8")
