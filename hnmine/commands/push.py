"""`hnmine push`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import PushSettings

if TYPE_CHECKING:
    from hnmine.exports.pushing import Pushed


def run(settings: PushSettings) -> Pushed:
    """Upload the directory."""
    from hnmine.exports.pushing import push

    return push(settings)


COMMAND = Command(
    settings=PushSettings,
    example="hnmine push runs/mined --repo me/hard-negatives",
    run=run,
    arguments=("data",),
    places={"data": "mined"},
)
