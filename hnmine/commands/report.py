"""`hnmine report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import ReportSettings

if TYPE_CHECKING:
    from hnmine.report.reporting import Report


def run(settings: ReportSettings) -> Report:
    """Report on a mined directory."""
    from hnmine.report.reporting import report

    return report(settings)


COMMAND = Command(
    settings=ReportSettings,
    summary="Write one page, and a summary, about what was mined and what became of the rest.",
    example="hnmine report runs/mined",
    run=run,
    places={"mined": "mined"},
    arguments=("mined",),
)
