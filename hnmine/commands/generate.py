"""`hnmine generate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.commands.sharing import in_processes
from hnmine.config import GenerateSettings

if TYPE_CHECKING:
    from hnmine.results import StageResult


def run(settings: GenerateSettings) -> StageResult:
    """Make texts; several processes share the work where asked."""
    from hnmine.extras.generation.generate import generate

    return in_processes(generate, settings)


COMMAND = Command(
    settings=GenerateSettings,
    summary="Make texts that may serve as negatives: positives edited by rule, or written by a "
    "language model.",
    example="hnmine generate --corpus corpus.parquet --pairs pairs.parquet --output runs/generated",
    run=run,
    places={"output": "generated"},
)
