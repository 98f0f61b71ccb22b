"""`hnmine inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import InspectSettings

if TYPE_CHECKING:
    from hnmine.report.inspecting import Inspected


def run(settings: InspectSettings) -> Inspected:
    """Look up single queries."""
    from hnmine.report.inspecting import inspect

    return inspect(settings)


COMMAND = Command(
    settings=InspectSettings,
    example="hnmine inspect runs/mined --reason margin",
    run=run,
    places={"mined": "mined"},
    arguments=("mined",),
)
