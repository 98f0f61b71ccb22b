"""`hnmine init`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import InitSettings

if TYPE_CHECKING:
    from hnmine.validate.initialising import Written


def run(settings: InitSettings, paths: Sequence[str] = ()) -> Written:
    """Write a configuration for inputs."""
    from hnmine.validate.initialising import init

    return init(settings, paths)


COMMAND = Command(
    settings=InitSettings,
    example="hnmine init corpus.parquet pairs.parquet --file hnmine.yaml",
    run=run,
    takes_paths=True,
)
