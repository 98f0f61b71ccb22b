"""The verdict on a mined directory: what was measured, what is out of bounds, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from hnmine.audit.estimate import Audit
from hnmine.config import FilterSettings, MineSettings
from hnmine.directories.mined import Mined
from hnmine.exports.reproduce import command_line
from hnmine.outcome import dropped
from hnmine.printable import shell
from hnmine.relevance.learned import RELEVANCE, read_learned
from hnmine.relevance.shortcut_price import HIGHEST_AUC
from hnmine.report.facts import Facts
from hnmine.selection.last_lines import DIGITS, Measured, findings, summary
from hnmine.sheets.sheet import beside

MOST_FALSE = 0.05
"""Share of the negatives, by judgements, above which a finding is shown."""

FEWEST_USED, MUCH_OF_ONE_PERCENT = 100, 0.1
"""Documents in use from which the most used 1 % are several, and their share of the negatives."""

Level = Literal["good", "check", "bad"]


@dataclass(frozen=True)
class Verdict:
    """What a reader must know before training.

    Attributes:
        level: `good`: no measure is out of bounds; `check`: some are; `bad`: do not train on it.
        words: the verdict, in a sentence or two.
        summary: counts and measures, in a sentence.
        findings: what is out of bounds and how to change it, a sentence or two each.
        judged: the share of false negatives in words; `not judged` without judgements.
        steps: what to do next, each with its command.
    """

    level: Level
    words: str
    summary: str
    findings: list[str]
    judged: str
    steps: list[tuple[str, str]]

    def lines(self) -> Iterator[str]:
        """Write the verdict and what stands out for a terminal."""
        yield self.words
        yield self.summary
        if self.findings:
            yield ""
            yield "What stands out"
            yield from (f"  - {found}" for found in self.findings)

    def next_lines(self) -> Iterator[str]:
        """Write the next steps for a terminal."""
        for step, (words, command) in enumerate(self.steps, 1):
            yield f"{step}. {words}:"
            yield from (f"     {line}" for line in command.split("\n"))


def verdict(mined: Mined, facts: Facts, audit: Audit) -> Verdict:
    """Return the verdict on a directory.

    Args:
        mined: the directory.
        facts: what was measured of it.
        audit: judgements, where there are some, and shortcuts.
    """
    run = _measured(mined, facts)
    found = [*_false(audit), *findings(run), *_used_most(facts), *_shortcuts(facts, audit)]
    level, words = _words(facts, audit, len(found))
    return Verdict(
        level, words, summary(run), found, judged(audit), list(_steps(mined, audit, level))
    )


def judged(audit: Audit) -> str:
    """Return the share of false negatives, as short as a card."""
    for estimate in audit.estimates.values():
        if estimate.known:
            low, high = f"{100 * estimate.low:.1f} %", f"{100 * estimate.high:.1f} %"
            if not isfinite(estimate.rate):
                return f"{low} to {high}"
            return f"{100 * estimate.rate:.1f} %" if estimate.rate else f"at most {high}"
    return "proved" if audit.proved else "not judged"


def _measured(mined: Mined, facts: Facts) -> Measured:
    """Return what `filter` knew at its end."""
    file = mined.path / RELEVANCE
    candidates = mined.texts
    return Measured(
        facts.path,
        facts.counts,
        facts.hardness,
        read_learned(file) if file.exists() else None,
        mined.manifest.settings,
        # Without the candidates the defaults of `mine` are named.
        candidates.manifest.settings if candidates else MineSettings.model_construct(),
        candidates.manifest.scores if candidates else [],
        mined.sources,
        len(candidates.index.documents.canonical) if candidates else 0,
    )


def _false(audit: Audit) -> Iterator[str]:
    for basis, estimate in audit.estimates.items():
        if isfinite(estimate.rate) and round(estimate.rate, DIGITS) > MOST_FALSE:
            yield (
                f"By {basis}, {estimate.rate:.0%} of the negatives are false: filter with these "
                "judgements (--judge FILE), or with a bound (--max-false 0.02)."
            )


def _used_most(facts: Facts) -> Iterator[str]:
    found = facts.hubness
    if found and found.used >= FEWEST_USED and found.top_share > MUCH_OF_ONE_PERCENT:
        yield (
            f"The most used 1 % of the documents make up {found.top_share:.0%} of the negatives: "
            "cap how many queries share one with --max-uses."
        )


def _shortcuts(facts: Facts, audit: Audit) -> Iterator[str]:
    """Yield a warning about each shortcut that no finding of `filter` is about."""
    known = facts.hardness.shortcuts if facts.hardness else {}
    for name, said in audit.warnings().items():
        if round(known.get(name, 0.0), DIGITS) <= HIGHEST_AUC:
            yield said


def _words(facts: Facts, audit: Audit, found: int) -> tuple[Level, str]:
    if not facts.counts["negatives"]:
        return "bad", "There is nothing to train on: no candidate was chosen."
    for estimate in audit.estimates.values():
        if estimate.known and estimate.low > MOST_FALSE:
            return "bad", (
                f"Do not train on it yet: more than {MOST_FALSE:.0%} of the negatives are false."
            )
    known = "" if audit.judged or audit.proved else " How many negatives are false was not judged."
    if found:
        what = "1 measure is" if found == 1 else f"{found} measures are"
        return "check", f"Look before you train: {what} out of bounds.{known}"
    return "good", f"Every measure is within its bounds.{known}"


def _steps(mined: Mined, audit: Audit, level: Level) -> Iterator[tuple[str, str]]:
    counts = mined.manifest.counts
    if not counts["negatives"]:
        by_rule = dropped(counts)
        rule = max(by_rule, key=lambda name: by_rule[name], default=None)
        if rule and by_rule[rule]:
            asked = ["hnmine", "inspect", mined.path, "--reason", rule]
            yield "See what the rule that drops most has dropped", shell(asked)
    if level != "good" and (again := filter_command(mined)):
        yield "Filter again with the settings that you change; stored scores are reused", again
    if not counts["negatives"]:
        return
    if not (audit.judged or audit.proved):
        review = shell(["hnmine", "review", mined.path])
        yield "Judge a sample, to know how many negatives are false", review
    if level != "bad":
        load = f'datasets.load_dataset("{mined.path}", split="train")'
        yield "Train on it, from Python", load


def filter_command(
    mined: Mined, sheet: str = "", ending: str = "-2", index: Path | None = None, **changes: object
) -> str:
    """Return the command that filters again into a new directory; empty without the candidates.

    Args:
        mined: the directory.
        sheet: of verdicts to filter with as well.
        ending: of the new directory's name.
        index: where it has moved to.
        changes: settings that are to be others.
    """
    if mined.texts is None:
        return ""
    settings = mined.manifest.recorded_settings | changes
    if sheet and sheet not in settings["judge"]:
        settings["judge"] = [*settings["judge"], sheet]
    places = {"candidates": _short(mined.texts.path), "output": beside(mined.path, ending)}
    return command_line(FilterSettings, settings, places | ({"index": index} if index else {}))


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
