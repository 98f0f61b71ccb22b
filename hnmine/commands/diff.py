"""`hnmine diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import DiffSettings

if TYPE_CHECKING:
    from hnmine.report.changes import Changes


def run(settings: DiffSettings) -> Changes:
    """Compare two mined directories."""
    from hnmine.report.changes import diff

    return diff(settings)


COMMAND = Command(
    settings=DiffSettings,
    summary="Show which negatives other settings of `filter` gain and lose, and why.",
    example="hnmine diff runs/mined runs/mined-margin-1",
    run=run,
    arguments=("before", "after"),
)
