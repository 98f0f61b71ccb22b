"""`hnmine report`: a page and a summary of a mined directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hnmine.audit.auditing import audit
from hnmine.audit.estimate import Audit
from hnmine.config import AuditSettings, ReportSettings
from hnmine.config.mined_settings import AuditedSettings
from hnmine.directories.mined import Mined
from hnmine.errors import InputError
from hnmine.printable import shell
from hnmine.report.comparing import Comparison
from hnmine.report.facts import Facts
from hnmine.report.gather import gather
from hnmine.report.html import page
from hnmine.report.terminal import lines
from hnmine.report.verdict import Verdict, verdict
from hnmine.results import Json, Result
from hnmine.runner.atomic import write_text
from hnmine.runner.preflight import claim

PAGE = "report.html"


@dataclass(frozen=True, repr=False)
class Report(Result):
    """The result of `hnmine report`.

    Attributes:
        facts: what the page and the summary show.
        audit: the share of false negatives, and shortcuts.
        verdict: what to know before training, and what to do next.
        page: the page's path; None without --html.
        compared: with other directories; None without --compare.
    """

    facts: Facts
    audit: Audit
    verdict: Verdict
    page: Path | None
    compared: Comparison | None = None

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        page = str(self.page) if self.page else None
        found = {"page": page, **self.facts.as_json(), "audit": self.audit.as_json()}
        found["verdict"] = asdict(self.verdict)
        return found | ({"compared": self.compared.as_json()} if self.compared else {})

    def lines(self) -> Iterator[str]:
        """Write the summary for a terminal."""
        yield from lines(self.facts, self.audit, self.verdict)
        if self.compared:
            yield ""
            yield from self.compared.table.lines()
            if self.compared.students:
                yield ""
                yield from self.compared.students.lines()
        if self.verdict.steps:
            yield ""
            yield from self.verdict.next_lines()
        if self.page:
            yield ""
            yield f"Page: {self.page}"


def report(settings: ReportSettings) -> Report:
    """Gather the facts, and write the page with --html.

    Raises:
        HnmineError: the directory cannot be used.
    """
    where = settings.output or settings.mined / PAGE
    mined = Mined(settings.mined, settings.candidates, settings.index)
    compared = _compared(settings.compare, mined) if settings.compare else None
    with mined.sql(settings.cpu_threads) as scored:
        facts = gather(scored)
        audited = _audit(settings, facts)
        judged = verdict(mined, facts, audited)
        if settings.html:
            where.parent.mkdir(parents=True, exist_ok=True)
            if settings.output is None:
                claim(settings.mined, "page", [PAGE])
            write_text(where, page(mined, facts, audited, judged, compared))
    return Report(facts, audited, judged, where if settings.html else None, compared)


def _audit(settings: ReportSettings, facts: Facts) -> Audit:
    asked = {name: getattr(settings, name) for name in AuditedSettings.model_fields}
    asked["shortcuts"] &= not facts.no_texts
    return audit(AuditSettings(**asked))


def _compared(folder: Path, mined: Mined) -> Comparison:
    """Read a comparison, which must be of this directory as it is now."""
    found = Comparison.read(folder)
    if mined.hash not in (one.hash for one in found.directories):
        compared = shell(["hnmine", "compare", mined.path, "OTHER", "--output", folder])
        raise InputError(
            f"The comparison in {folder} is not of {mined.path}.",
            why="It is of other directories, or this one was filtered again since.",
            fix=f"Compare again: `{compared}`.",
        )
    return found
