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
    summary="Upload a directory with a dataset card to the Hugging Face hub.",
    example="hnmine push runs/mined --repo me/hard-negatives",
    run=run,
    arguments=("data",),
    places={"data": "mined"},
)
