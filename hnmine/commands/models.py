"""`hnmine models`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import ModelsSettings

if TYPE_CHECKING:
    from hnmine.encode.installed import Installed


def run(settings: ModelsSettings) -> Installed:
    """List what this machine can run."""
    from hnmine.encode.installed import installed

    return installed(settings.folder)


COMMAND = Command(
    settings=ModelsSettings,
    summary="List the models that can be used here, and what the machine runs them on.",
    example="hnmine models --folder models",
    run=run,
)
