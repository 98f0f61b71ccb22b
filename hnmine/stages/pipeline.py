"""`hnmine run`: the three commands, one after the other, from one configuration."""

from __future__ import annotations

from hnmine.config import BuildIndexSettings, FilterSettings, MineSettings
from hnmine.stages.build_index import build_index
from hnmine.stages.filter import filter
from hnmine.stages.mine import mine
from hnmine.stages.result import StageResult


def run(
    settings: tuple[BuildIndexSettings, MineSettings, FilterSettings],
) -> tuple[StageResult, StageResult, StageResult]:
    """Build the index, mine and filter; whatever is done already is not done again.

    Raises:
        HnmineError: see the three commands.
    """
    index, mining, filtering = settings
    return build_index(index), mine(mining), filter(filtering)
