"""`hnmine generate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.commands.sharing import in_processes
from hnmine.config import GenerateSettings

if TYPE_CHECKING:
    from hnmine.results import StageResult


def run(settings: GenerateSettings) -> StageResult:
    """Generate texts, in one or more processes."""
    from hnmine.extras.generation.generate import generate

    return in_processes(generate, settings)


COMMAND = Command(
    settings=GenerateSettings,
    example="hnmine generate runs/generated --corpus corpus.parquet --pairs pairs.parquet",
    run=run,
    takes_recipe=True,
    arguments=("output",),
    places={"output": "generated"},
)
