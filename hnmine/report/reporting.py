"""`hnmine report`: a page and a summary of a mined directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hnmine.audit.auditing import audit
from hnmine.audit.estimate import Audit
from hnmine.config import AuditSettings, ReportSettings
from hnmine.config.mined_settings import AuditedSettings
from hnmine.directories.mined import Mined
from hnmine.report.facts import Facts
from hnmine.report.gather import gather
from hnmine.report.highlight import Matcher
from hnmine.report.html import page
from hnmine.report.terminal import lines
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
        page: the page's path; None without --html.
    """

    facts: Facts
    audit: Audit
    page: Path | None

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        page = str(self.page) if self.page else None
        return {"page": page, **self.facts.as_json(), "audit": self.audit.as_json()}

    def lines(self) -> Iterator[str]:
        """Write the summary for a terminal."""
        yield from lines(self.facts, self.audit)
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
    with mined.sql(settings.cpu_threads) as scored:
        facts = gather(scored)
        audited = _audit(settings, facts)
        if settings.html:
            where.parent.mkdir(parents=True, exist_ok=True)
            if settings.output is None:
                claim(settings.mined, "page", [PAGE])
            write_text(where, page(facts, audited, Matcher.of(mined)))
    return Report(facts, audited, where if settings.html else None)


def _audit(settings: ReportSettings, facts: Facts) -> Audit:
    asked = {name: getattr(settings, name) for name in AuditedSettings.model_fields}
    asked["shortcuts"] &= not facts.no_texts
    return audit(AuditSettings(**asked))
