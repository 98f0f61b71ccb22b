"""What commands return."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hnmine.config import Settings
from hnmine.runner.plan import versions_of
from hnmine.runner.urls import mirrored
from hnmine.schema import VERSION

ALWAYS = ("hnmine", "numpy", "pyarrow")
"""Libraries whose version can change whatever is written."""

_TORCH = ("sentence-transformers", "tokenizers", "torch", "transformers")
LIBRARIES = {
    "bm25": ("numba", "PyStemmer"),
    "compiled": ("numba",),
    "expressions": ("duckdb",),
    "faiss": ("faiss-cpu",),
    "learning": ("scipy",),
    "onnx": ("onnxruntime", "tokenizers"),
    "openvino": (*_TORCH, "openvino"),
    "rank-bm25": ("rank-bm25",),
    "torch": _TORCH,
}
"""Further ones, by what a stage does or by the back end of its model."""


class Result(Protocol):
    """What a command returns: it can be printed, as lines or as JSON."""

    def as_json(self) -> Any:
        """Return everything as JSON values."""
        ...

    def lines(self) -> Iterable[str]:
        """Write the result for a terminal."""
        ...


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

    @property
    def place(self) -> str:
        """The directory, or the URL that it mirrors."""
        return mirrored(self.path) or str(self.path)

    def as_json(self) -> dict[str, Any]:
        """Return where it is, the counts and the notes as JSON values."""
        return {"path": self.place, "counts": dict(self.counts), "notes": list(self.notes)}

    def lines(self) -> Iterator[str]:
        """Write where it is, a line for each count, and the notes."""
        yield self.place
        width = max(len(name) for name in self.counts)
        for name, count in self.counts.items():
            shown = name if "." in name else name.replace("_", " ")  # A file keeps its name.
            yield f"  {shown:<{width}}  {count:>14,}"
        yield from self.notes


class StageResults(list[StageResult]):
    """What `hnmine run` wrote, a directory for each command."""

    def as_json(self) -> list[dict[str, Any]]:
        """Return everything as JSON values."""
        return [result.as_json() for result in self]

    def lines(self) -> Iterator[str]:
        """Write each directory and its counts."""
        for result in self:
            yield from result.lines()


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


def library_versions(uses: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of the installed libraries that a result depends on.

    Args:
        uses: keys of `LIBRARIES`.
    """
    return versions_of({*ALWAYS, *(library for use in uses for library in LIBRARIES[use])})
