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
    """Write the files of another trainer; several processes share the work where asked."""
    from hnmine.exports.exporting import export

    return in_processes(export, settings)


COMMAND = Command(
    settings=ExportSettings,
    summary="Write mined negatives as the files of another trainer, without scoring anything.",
    example="hnmine export --mined runs/mined --to flagembedding --output runs/export",
    run=run,
    places={"mined": "mined", "output": "export"},
    more_help="\b\nFormats:\n"
    + "\n".join(f"  {name:<20}{entry.description}" for name, entry in EXPORTS.own.items()),
)
