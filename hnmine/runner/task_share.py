"""Which of a run's tasks a process does: all, its share of them, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hnmine.errors import PartialRun

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """The part that a process has in a run.

    Processes that share a run each begin with tasks of their own, then take what nobody has begun:
    whichever of them stops, the others end the run.

    Attributes:
        index: of the process, from 0.
        of: processes that share the run; 1 for a process that is alone.
        finish: leave what others could have done undone, and only end the run.
    """

    index: int = 0
    of: int = 1
    finish: bool = False

    @property
    def together(self) -> bool:
        """Whether other processes may write to the directory too."""
        return self.of > 1

    def order(self, items: Sequence[Item]) -> list[Item]:
        """Put the process's own items first."""
        turn = [(number - self.index) % self.of for number in range(len(items))]
        return [items[at] for at in sorted(range(len(items)), key=lambda at: turn[at])]

    def check_done(self, path: Path, stage: str, missing: int, tasks: int) -> None:
        """Refuse to end a run whose shared tasks are not done.

        Args:
            path: of the run.
            stage: its step.
            missing: its tasks that are not done.
            tasks: all of them; a single one is not shared.

        Raises:
            PartialRun: tasks are missing that others should have done.
        """
        if self.finish and missing and tasks > 1:
            raise PartialRun(
                f"{path}: {missing:,} of {tasks:,} tasks of {stage!r} are not done.",
                why="With --finish, what can be shared is left to the processes that share it.",
                fix="Run those again with --task, or this one without --finish.",
            )


ALONE = Share()
