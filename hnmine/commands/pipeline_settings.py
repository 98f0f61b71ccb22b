"""The settings of `hnmine run`: those of each command that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hnmine.config import (
    BatchSettings,
    BuildIndexSettings,
    FilterSettings,
    GenerateSettings,
    MineSettings,
    MixSettings,
)


@dataclass(frozen=True)
class Pipeline:
    """The settings of each step; None if the file has no section for a further one.

    Attributes:
        output: the directory that holds those of the steps.
        budget: the time that the three stages may take, such as 2h.
    """

    index: BuildIndexSettings
    mine: MineSettings
    filter: FilterSettings
    generate: GenerateSettings | None = None
    batch: BatchSettings | None = None
    mix: MixSettings | None = None
    output: Path = Path()
    budget: str | None = None

    @property
    def stages(self) -> tuple[BuildIndexSettings, MineSettings, FilterSettings]:
        """The settings of the three stages, in their order."""
        return self.index, self.mine, self.filter
