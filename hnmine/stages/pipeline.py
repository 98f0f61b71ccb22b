"""`hnmine run`: the commands, one after the other, from one configuration."""

from __future__ import annotations

from hnmine.config import BatchSettings, BuildIndexSettings, FilterSettings, MineSettings
from hnmine.stages.batch import batch
from hnmine.stages.build_index import build_index
from hnmine.stages.filter import filter
from hnmine.stages.mine import mine
from hnmine.stages.result import StageResult


def run(
    settings: tuple[BuildIndexSettings, MineSettings, FilterSettings],
    batching: BatchSettings | None = None,
) -> list[StageResult]:
    """Build the index, mine, filter, and batch where asked; what is done is not done again.

    Raises:
        HnmineError: see the commands.
    """
    index, mining, filtering = settings
    results = [build_index(index), mine(mining), filter(filtering)]
    return [*results, batch(batching)] if batching else results
