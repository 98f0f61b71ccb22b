"""`hnmine compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import CompareSettings

if TYPE_CHECKING:
    from hnmine.report.comparing import Comparison


def run(settings: CompareSettings) -> Comparison:
    """Compare mined directories."""
    from hnmine.report.comparing import compare

    return compare(settings)


COMMAND = Command(
    settings=CompareSettings,
    example="hnmine compare runs/mined runs/mined-margin-1",
    run=run,
    arguments=("mined",),
)
