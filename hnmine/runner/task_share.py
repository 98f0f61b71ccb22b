"""The tasks of a run that a process does: all, its share, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hnmine.errors import PartialRun

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """The part of a process in a run.

    Processes that share a run begin with tasks of their own, then take those that no other has
    begun: if one stops, the others end the run.

    Attributes:
        index: of the process, from 0.
        of: processes that share the run.
        finish: do no task that others could have done, only end the run.
    """

    index: int = 0
    of: int = 1
    finish: bool = False

    @property
    def together(self) -> bool:
        """Whether other processes may write to the directory."""
        return self.of > 1

    def order(self, items: Sequence[Item]) -> list[Item]:
        """Put the process's own items first."""
        turn = [(number - self.index) % self.of for number in range(len(items))]
        return [items[at] for at in sorted(range(len(items)), key=lambda at: turn[at])]

    def check_done(self, path: Path, stage: str, missing: int, tasks: int) -> None:
        """Refuse to end a run whose shared tasks are not done; a single task is not shared.

        Raises:
            PartialRun: tasks are missing that others should have done.
        """
        if self.finish and missing and tasks > 1:
            raise PartialRun(
                f"{path}: {missing:,} of {tasks:,} tasks of {stage!r} are not done.",
                why="--finish leaves shared tasks to the processes that share them.",
                fix="Rerun those with --task, or this one without --finish.",
            )


ALONE = Share()
