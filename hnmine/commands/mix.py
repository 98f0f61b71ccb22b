"""`hnmine mix`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.commands.sharing import in_processes
from hnmine.config import MixSettings

if TYPE_CHECKING:
    from hnmine.results import StageResult


def run(settings: MixSettings) -> StageResult:
    """Mix vectors, in one or more processes."""
    from hnmine.extras.mixing.mix import mix

    return in_processes(mix, settings)


COMMAND = Command(
    settings=MixSettings,
    example="hnmine mix runs/mined --by mochi:4 --by mochi-query:1 --output runs/mixed",
    run=run,
    takes_recipe=True,
    arguments=("mined",),
    places={"mined": "mined", "output": "mixed"},
    own_keys=("vectors",),
)
