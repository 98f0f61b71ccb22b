"""`hnmine export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.commands.sharing import in_processes
from hnmine.config import ExportSettings
from hnmine.exports import EXPORTS

if TYPE_CHECKING:
    from hnmine.results import StageResult


def run(settings: ExportSettings) -> StageResult:
    """Write the files of another trainer, in one or more processes."""
    from hnmine.exports.exporting import export

    return in_processes(export, settings)


COMMAND = Command(
    settings=ExportSettings,
    example="hnmine export runs/mined --to flagembedding --output runs/export",
    run=run,
    arguments=("mined",),
    registries={"to": EXPORTS},
    places={"mined": "mined", "output": "export"},
    listed={"Formats": EXPORTS},
)
