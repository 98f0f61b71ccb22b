"""`hnmine review`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import ReviewSettings

if TYPE_CHECKING:
    from hnmine.review.reviewing import Reviewed


def run(settings: ReviewSettings) -> Reviewed:
    """Let a person judge candidates."""
    from hnmine.review.reviewing import review

    return review(settings)


COMMAND = Command(
    settings=ReviewSettings,
    example="hnmine review runs/mined --doubtful 100",
    run=run,
    places={"mined": "mined"},
    arguments=("mined",),
)
