"""What `hnmine judge` returns: counts, how good the judge is, and the rate that it implies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hnmine.errors import InputError, PartialRun
from hnmine.judging.judge_accuracy import Rate, Share, tells_apart
from hnmine.printable import aligned, without_nan
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
        flagged: evenly drawn rows that it finds relevant.
        rate: the share of false negatives corrected for hits and alarms; None if it is unknown.
        controls_left: rows of known truth that it was not asked about.
        agreement: by other judge: rows that both judged, share of agreement, Cohen's kappa.
        disputed: rows without a verdict because the judges disagree.
        sampled: what the evenly drawn rows are: negatives or candidates.
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
    disputed: int = 0
    sampled: str = "negatives"

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
        shares = {"hits": self.hits, "alarms": self.alarms, "flagged": self.flagged}
        found: Json = without_nan(
            {
                "sheet": str(self.sheet),
                "judge": self.judge,
                "counts": self.counts,
                **{name: share.as_json() for name, share in shares.items()},
                "rate": asdict(self.rate) if self.rate else None,
                "is_evidence": self.is_evidence,
                "agreement": {
                    other: dict(zip(("rows", "share", "kappa"), found, strict=True))
                    for other, found in self.agreement.items()
                },
            }
        )
        return found

    def lines(self) -> Iterator[str]:
        """Return the lines for a terminal."""
        yield f"{self.sheet}"
        counts = ((f"  {name.replace('_', ' ')}", f"{n:,}") for name, n in self.counts.items())
        yield from aligned(counts)
        yield f"{self.judge} finds relevant"
        shares = {
            "known positives (hits)": self.hits,
            "random documents (alarms)": self.alarms,
            f"{self.sampled} drawn evenly": self.flagged,
        }
        yield from aligned(((f"  {name}", str(share)) for name, share in shares.items()), "<<")
        yield from self._rate_lines()
        for other, (rows, share, kappa) in self.agreement.items():
            agreed = f"agrees on {100 * share:.0f} % of {rows:,} rows" if rows else "shares no row"
            yield f"  with {other}: {agreed}{f', kappa {kappa:.2f}' if kappa == kappa else ''}"
        if self.disputed:
            yield (
                f"  {self.disputed:,} rows on which the judges disagree have no verdict; "
                "`hnmine review` shows them first."
            )

    def _rate_lines(self) -> Iterator[str]:
        if self.rate:
            most = f"{100 * self.rate.high:.1f} %"
            yield f"relevant among the {self.sampled}, corrected for both: at most {most}"
            yield f"  {self.rate} if alarms on them are as rare as on random documents"
        elif self.flagged.of:
            yield f"relevant among the {self.sampled}, corrected for both: unknown"

    def check(self) -> None:
        """Refuse a judge whose verdicts are no evidence.

        Raises:
            InputError: it cannot tell known positives from random documents, or too few of them
                exist to tell.
            PartialRun: too few of them were judged.
        """
        seen = f"It finds {self.hits} known positives and {self.alarms} random documents relevant."
        if self.refused:
            raise InputError(
                f"{self.judge} cannot tell known positives from random documents.",
                why=f"{seen} Its verdicts are no evidence, and {self.sheet} is left without them.",
                fix="Use another model or prompt, raise --sample for more rows of known truth, or "
                "judge by hand: `hnmine review`.",
            )
        if self.unmeasured and self.controls_left:
            raise PartialRun(
                f"Too few rows of known truth are judged to measure {self.judge}.",
                why=f"{seen} {self.controls_left:,} more wait. {self.sheet} has no verdicts of it "
                "yet; the answers are kept.",
                fix="Run the same command again with a larger --budget, or without it.",
            )
        if self.unmeasured:
            raise InputError(
                f"There are too few rows of known truth to measure {self.judge}.",
                why=f"{seen} Its answers are kept, but {self.sheet} is left without its verdicts.",
                fix="Raise --sample, which adds such rows, mine more queries, or judge by hand: "
                "`hnmine review`.",
            )
