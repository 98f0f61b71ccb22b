"""`hnmine report`, and `hnmine audit`, an older name for a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import AuditSettings, ReportSettings

if TYPE_CHECKING:
    from hnmine.audit.estimate import Audit
    from hnmine.report.reporting import Report


def run(settings: ReportSettings) -> Report:
    """Report on a mined directory."""
    from hnmine.report.reporting import report

    return report(settings)


def _audit(settings: AuditSettings) -> Audit:
    from hnmine.audit.auditing import audit

    return audit(settings)


COMMAND = Command(
    settings=ReportSettings,
    example="hnmine report runs/mined",
    run=run,
    places={"mined": "mined"},
    arguments=("mined",),
)

AUDIT = Command(
    settings=AuditSettings,
    example="hnmine audit runs/mined --sample 300 --sheet sheet.csv",
    run=_audit,
    places={"mined": "mined"},
    arguments=("mined",),
    successor="report",
)
