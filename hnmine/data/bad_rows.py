"""Rows that cannot be used: an error that names them, or a count of what was skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hnmine.errors import InputError


@dataclass
class BadRows:
    """Rows that cannot be used: an error that names them, or a count of what was skipped."""

    mode: Literal["error", "skip"]
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Record rows that share a reason."""
        self.counts[reason] += count
        if len(self.examples) < 10:
            self.examples.append(f"  {example}: {reason}")

    def add_all(self, counts: Mapping[str, int], examples: Sequence[str]) -> None:
        """Record rows of several reasons, and where the first of them stand."""
        self.counts.update(counts)
        room = 10 - len(self.examples)
        self.examples += [f"  {example}" for example in examples[: max(room, 0)]]

    def settle(self) -> dict[str, int]:
        """Raise if rows were bad and may not be skipped; else return the counts by reason."""
        if self.counts and self.mode == "error":
            total = sum(self.counts.values())
            summary = ", ".join(f"{count:,} {reason}" for reason, count in self.counts.items())
            raise InputError(
                f"{total:,} bad {'row' if total == 1 else 'rows'}: {summary}.",
                why="\n".join(self.examples),
                fix="Mend the input, or pass --on-bad-row skip to leave these rows out and count "
                "them.",
            )
        return dict(self.counts)
