"""`hnmine skill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import SkillSettings

if TYPE_CHECKING:
    from hnmine.validate.shipped_files import Skill


def run(settings: SkillSettings) -> Skill:
    """Return the instructions for coding agents; write them where a folder is given."""
    from hnmine.validate.shipped_files import skill

    return skill(settings.folder)


COMMAND = Command(
    settings=SkillSettings,
    example="hnmine skill .agents/skills",
    run=run,
    takes_config=False,
    arguments=("folder",),
)
