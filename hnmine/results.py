"""Results of commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hnmine.config import Settings
from hnmine.printable import aligned
from hnmine.runner.plan import library_versions
from hnmine.runner.urls import mirrored
from hnmine.schema import VERSION

Json = dict[str, Any]
"""A JSON object."""


class Result(Protocol):
    """The result of a command, which can be printed as lines or as JSON."""

    def as_json(self) -> object:
        """Return everything as JSON values."""
        ...

    def lines(self) -> Iterable[str]:
        """Return the lines for a terminal."""
        ...


@dataclass(frozen=True)
class StageResult:
    """A finished directory.

    Attributes:
        path: the directory.
        counts: rows read, written and dropped, by reason.
        manifest: the directory's manifest.
        notes: decisions that the command made, a sentence each.
    """

    path: Path
    counts: Mapping[str, int]
    manifest: Json
    notes: Sequence[str] = ()

    @property
    def place(self) -> str:
        """The directory, or the URL that it mirrors."""
        return mirrored(self.path) or str(self.path)

    def as_json(self) -> Json:
        """Return the path, the counts and the notes as JSON values."""
        return {"path": self.place, "counts": dict(self.counts), "notes": list(self.notes)}

    def lines(self) -> Iterator[str]:
        """Return lines with the path, each count, and the notes."""
        yield self.place
        yield from count_lines(self.counts)
        yield from self.notes


class StageResults(list[StageResult]):
    """The directories that `hnmine run` wrote, one for each command."""

    def as_json(self) -> list[Json]:
        """Return everything as JSON values."""
        return [result.as_json() for result in self]

    def lines(self) -> Iterator[str]:
        """Return lines with each directory and its counts."""
        for result in self:
            yield from result.lines()


def count_lines(counts: Mapping[str, int]) -> Iterator[str]:
    """Return a line for each count; a file keeps its name."""
    names = (name if "." in name else name.replace("_", " ") for name in counts)
    return aligned(
        (f"  {name}", f"{count:,}") for name, count in zip(names, counts.values(), strict=True)
    )


def base_plan(stage: str, settings: Settings, uses: Iterable[str] = ()) -> Json:
    """Return the part of a plan that all stages share.

    Args:
        stage: its name.
        settings: its settings.
        uses: keys of `LIBRARIES`, for libraries that not every stage needs.
    """
    return {
        "schema_version": VERSION,
        "stage": stage,
        "settings": settings.plan(),
        "libraries": library_versions(uses),
    }
