"""What `hnmine judge` returns: counts, how good the judge is, and the rate that it implies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hnmine.judging.judge_accuracy import Rate, Share, tells_apart
from hnmine.results import Json, Result


@dataclass(frozen=True, repr=False)
class Judged(Result):
    """The result of `hnmine judge`.

    Attributes:
        sheet: the file with the verdicts.
        judge: name of the judge.
        counts: of rows; `asked` counts new answers, `without_verdict` those that gave none.
        hits: known positives that the judge finds relevant.
        alarms: random documents that it finds relevant.
        flagged: evenly drawn negatives that it finds relevant.
        rate: the share of false negatives corrected for hits and alarms; None if it is unknown.
        controls_left: rows of known truth without its verdict.
        agreement: by other judge: rows that both judged, share of agreement, Cohen's kappa.
    """

    sheet: Path
    judge: str
    counts: dict[str, int]
    hits: Share
    alarms: Share
    flagged: Share
    rate: Rate | None
    controls_left: int
    agreement: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    @property
    def is_evidence(self) -> bool:
        """Whether the judge tells known positives from random documents."""
        return tells_apart(self.hits, self.alarms)

    @property
    def refused(self) -> bool:
        """Whether the judge cannot tell them apart, though there are enough of both."""
        perfect = tells_apart(Share(self.hits.of, self.hits.of), Share(0, self.alarms.of))
        return perfect and not self.controls_left and not self.is_evidence

    @property
    def unmeasured(self) -> bool:
        """Whether too few rows of known truth are judged to tell."""
        return not self.is_evidence and not self.refused

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        raise NotImplementedError

    def lines(self) -> Iterator[str]:
        """Return the lines for a terminal."""
        raise NotImplementedError
