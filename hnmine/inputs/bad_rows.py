"""Rows that cannot be used: an error that names them, or a count of what was skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hnmine.errors import InputError

EXAMPLES = 10
"""Bad rows that an error names."""


@dataclass
class BadRows:
    """Rows that cannot be used: an error that names them, or a count of what was skipped."""

    mode: Literal["error", "skip"]
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def shows_more(self) -> bool:
        """Whether the next example is kept."""
        return len(self.examples) < EXAMPLES

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Record rows that share a reason."""
        self.counts[reason] += count
        if self.shows_more:
            self.examples.append(f"  {example}: {reason}")

    def add_all(self, counts: Mapping[str, int], examples: Sequence[str]) -> None:
        """Record rows of several reasons, and where the first of them stand."""
        self.counts.update(counts)
        room = EXAMPLES - len(self.examples)
        self.examples += [f"  {example}" for example in examples[: max(room, 0)]]

    def settle(self) -> dict[str, int]:
        """Raise if rows were bad and may not be skipped; else return the counts by reason."""
        if self.counts and self.mode == "error":
            total = sum(self.counts.values())
            summary = ", ".join(f"{count:,} {reason}" for reason, count in self.counts.items())
            raise InputError(
                f"{total:,} bad {'row' if total == 1 else 'rows'}: {summary}.",
                why="\n".join(self.examples),
                fix="Correct the input, or pass --on-bad-row skip, which leaves these rows out and "
                "counts them.",
            )
        return dict(self.counts)
