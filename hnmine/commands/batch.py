"""`hnmine batch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.commands.sharing import in_processes
from hnmine.config import BatchSettings

if TYPE_CHECKING:
    from hnmine.results import StageResult


def run(settings: BatchSettings) -> StageResult:
    """Group training rows into batches, in one or more processes."""
    from hnmine.extras.batches.batch import batch

    return in_processes(batch, settings)


COMMAND = Command(
    settings=BatchSettings,
    example="hnmine batch runs/mined --batch-size 64 --output runs/batches",
    run=run,
    takes_recipe=True,
    arguments=("mined",),
    places={"mined": "mined", "output": "batches"},
    own_keys=("clusters",),
)
