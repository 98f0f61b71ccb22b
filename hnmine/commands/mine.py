"""`hnmine mine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.commands.sharing import forecast_one, in_processes
from hnmine.config import MineSettings
from hnmine.sources import SOURCES

if TYPE_CHECKING:
    from hnmine.results import StageResult


def run(settings: MineSettings) -> StageResult:
    """Mine candidates, in one or more processes."""
    from hnmine.sources.mining import mine

    return in_processes(mine, settings)


COMMAND = Command(
    settings=MineSettings,
    example="hnmine mine runs/index --pairs pairs.parquet --output runs/candidates",
    run=run,
    takes_recipe=True,
    arguments=("index",),
    registries={"source": SOURCES},
    places={"index": "index", "output": "candidates"},
    forecast=forecast_one,
)
