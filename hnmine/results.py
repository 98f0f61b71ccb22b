"""What a stage returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnmine.config import Settings
from hnmine.runner.plan import library_versions
from hnmine.schema import VERSION


@dataclass(frozen=True)
class StageResult:
    """A finished directory.

    Attributes:
        path: the directory.
        counts: what went in, what came out, what was dropped and why.
        manifest: all that is recorded about it.
        notes: what was decided, and why, a sentence each.
    """

    path: Path
    counts: Mapping[str, Any]
    manifest: Mapping[str, Any]
    notes: Sequence[str] = ()


def base_plan(stage: str, settings: Settings, uses: Iterable[str] = ()) -> dict[str, Any]:
    """Return the part of a plan that all stages share.

    Args:
        stage: its name.
        settings: its settings.
        uses: what it does with libraries that not every stage needs; see `LIBRARIES`.
    """
    return {
        "schema_version": VERSION,
        "stage": stage,
        "settings": settings.plan(),
        "libraries": library_versions(uses),
    }
