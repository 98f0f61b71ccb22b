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
    """Counts of rows that cannot be used, by reason, and the first of them to show."""

    mode: Literal["error", "skip"] = "skip"
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def shows_more(self) -> bool:
        """Whether the next example is kept."""
        return len(self.examples) < EXAMPLES

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Record rows that share a reason."""
        self.add_all({reason: count}, [f"{example}: {reason}"])

    def add_line(self, line: int, reason: str, what: str) -> None:
        """Record a line of a file that is no row, and what is wrong with it."""
        self.add_all({reason: 1}, [f"Line {line}: {what}."])

    def add_all(self, counts: Mapping[str, int], examples: Sequence[str]) -> None:
        """Record rows of several reasons, and the first of them."""
        self.counts.update(counts)
        self.examples += examples[: max(0, EXAMPLES - len(self.examples))]

    @property
    def shown(self) -> str:
        """The examples, one a line."""
        return "\n".join(f"  {example}" for example in self.examples)

    def settle(self) -> dict[str, int]:
        """Return the counts by reason of rows that may be skipped.

        Raises:
            InputError: rows are bad and may not be skipped.
        """
        if self.counts and self.mode == "error":
            total = self.counts.total()
            only = next(iter(self.counts)) if len(self.counts) == 1 else ""
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.counts.items())
            raise InputError(
                f"{total:,} bad {'row' if total == 1 else 'rows'}"
                f"{f' {only}' if only else f': {reasons}'}.",
                why=self.shown.replace(f": {only}\n", "\n").removesuffix(f": {only}"),
                fix="Correct the input, or pass --on-bad-row skip, which leaves these rows out and "
                "counts them.",
            )
        return dict(self.counts)
