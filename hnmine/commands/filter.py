"""`hnmine filter`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.commands.sharing import forecast_one, in_processes
from hnmine.config import FilterSettings
from hnmine.judges import JUDGES

if TYPE_CHECKING:
    from hnmine.results import StageResult


def run(settings: FilterSettings) -> StageResult:
    """Filter candidates, in one or more processes."""
    from hnmine.selection.pipeline import filter

    return in_processes(filter, settings)


COMMAND = Command(
    settings=FilterSettings,
    example="hnmine filter runs/candidates --cross-encoder models/reranker --output runs/mined",
    run=run,
    takes_recipe=True,
    arguments=("candidates",),
    registries={"judge": JUDGES},
    places={"candidates": "candidates", "output": "mined"},
    forecast=forecast_one,
)
