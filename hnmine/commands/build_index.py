"""`hnmine build-index`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.commands.sharing import forecast_one, in_processes
from hnmine.config import BuildIndexSettings

if TYPE_CHECKING:
    from hnmine.results import StageResult


def run(settings: BuildIndexSettings) -> StageResult:
    """Build the index, in one or more processes."""
    from hnmine.index.building import build_index

    return in_processes(build_index, settings)


COMMAND = Command(
    settings=BuildIndexSettings,
    example="hnmine build-index runs/index --corpus corpus.parquet --encoder models/encoder",
    run=run,
    arguments=("index",),
    places={"index": "index"},
    forecast=forecast_one,
)
