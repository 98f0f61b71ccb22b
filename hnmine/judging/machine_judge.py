"""The interface of a machine judge: it answers whether a document is relevant to a query."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Item:
    """A pair of texts to judge."""

    query: str
    document: str


@dataclass(frozen=True)
class Answer:
    """What a judge says of a pair.

    Attributes:
        verdict: from 0 (not relevant) to 1, relevant from 0.5 on; None without one.
        grade: from 0 to 3, of a graded judge.
        reason: of a judge that gives one.
        score: of a judge without verdicts of its own; `judge_sheet` learns where relevance begins.
    """

    verdict: float | None = None
    grade: int | None = None
    reason: str | None = None
    score: float | None = None

    @property
    def is_given(self) -> bool:
        """Whether the judge gave a verdict or a score."""
        return self.verdict is not None or self.score is not None


class MachineJudge(ABC):
    """Judges pairs of texts.

    Attributes:
        name: its name in the column `judge` of a sheet.
        identity: all that its answers depend on, as JSON values and without a key. Answers are
            cached by it, and it is recorded beside the sheet.
        reached_by: how it is reached, such as a host or a path; recorded too.
        batch: number of pairs in one call of `judge`.
        requests: number of calls of `judge` at the same time, from as many threads.
    """

    name: str
    identity: Mapping[str, Any]
    reached_by: Mapping[str, Any] = MappingProxyType({})
    batch: int = 1
    requests: int = 1

    @abstractmethod
    def judge(self, items: Sequence[Item]) -> list[Answer]:
        """Return an answer for each pair, in order.

        Raises:
            HnmineError: the judge cannot be used, or does not answer.
        """

    def stop(self) -> None:  # noqa: B027 - a local model has nothing to stop.
        """End the calls that are running; called after an error or Ctrl-C."""

    def prompt_of(self, item: Item) -> str:
        """Return the text that the judge reads for a pair."""
        return f"{item.query}\n{item.document}"
