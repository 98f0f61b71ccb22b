"""Results of commands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from hnmine.config import Settings
from hnmine.errors import UsageError, missing_extra
from hnmine.outcome import check_not_empty, next_step, summary
from hnmine.printable import aligned, one_line, without_credentials, without_nan
from hnmine.runner.plan import Json as Json
from hnmine.runner.plan import versions_of
from hnmine.runner.urls import mirrored
from hnmine.schema import VERSION

if TYPE_CHECKING:
    import pyarrow as pa
    from _typeshed import DataclassInstance
    from datasets import Dataset

ALWAYS = ("hnmine", "numpy", "pyarrow")
"""Libraries whose version can change whatever is written."""

_TORCH = ("sentence-transformers", "tokenizers", "torch", "transformers")
LIBRARIES = {
    "bm25": ("numba", "PyStemmer"),
    "compiled": ("numba",),
    "expressions": ("duckdb",),
    "faiss": ("faiss-cpu",),
    "files": (),
    "learning": ("scipy",),
    "onnx": ("onnxruntime", "tokenizers"),
    "openvino": (*_TORCH, "openvino"),
    "server": (),
    "rank-bm25": ("rank-bm25",),
    "torch": _TORCH,
}
"""Further ones, by what a stage does or by the back end of its model."""

SHOWN_LINES, WIDTH = 8, 120
"""Lines, and characters of a line, that Python's prompt shows of a result."""

HEADLINES = ("documents", "queries", "candidates", "negatives", "train_rows")
"""Counts that the prompt shows of a directory."""


class Result(ABC):
    """What a command returns: it can be printed, as lines or as JSON."""

    def as_json(self) -> Any:
        """Return everything as JSON values; an unknown number is null."""
        return without_nan(asdict(cast("DataclassInstance", self)))

    @abstractmethod
    def lines(self) -> Iterable[str]:
        """Write the result for a terminal."""

    def check(self) -> None:  # noqa: B027 - most results keep this one.
        """Raise an error if the command found a fault; most commands look for none."""

    def __repr__(self) -> str:
        first = list(islice(self.lines(), SHOWN_LINES + 1))
        shown = [shortened(line) for line in first[:SHOWN_LINES]]
        more = ["…  (.lines() has all of it)"] if len(first) > SHOWN_LINES else []
        return "\n".join([f"{type(self).__name__}:", *shown, *more])

    def _repr_html_(self) -> str:
        text = "\n".join(without_credentials(one_line(line)) for line in self.lines())
        return f"<pre>{escape(text)}</pre>"


@dataclass(frozen=True, repr=False)
class StageResult(Result):
    """A finished directory.

    Attributes:
        path: the directory.
        counts: rows read, written and dropped, by reason.
        manifest: the directory's manifest.
        notes: decisions that the command made, a sentence each.
        told: the notes that the terminal shows; None for all of them.
    """

    path: Path
    counts: Mapping[str, int]
    manifest: Json
    notes: Sequence[str] = ()
    told: Sequence[str] | None = None

    @property
    def place(self) -> str:
        """The directory, or the URL that it mirrors."""
        return mirrored(self.path) or str(self.path)

    def __fspath__(self) -> str:
        return self.place

    @property
    def train(self) -> Dataset:
        """The training table of a mined or a batch directory, as `load_dataset` opens it.

        Raises:
            MissingModel: the package datasets is not installed.
            UsageError: the directory has no training table.
        """
        files = self._files("train")
        try:
            from datasets import Dataset
        except ImportError as error:
            raise missing_extra("datasets", "datasets") from error
        return Dataset.from_parquet(files)

    @property
    def scored(self) -> pa.Table:
        """All candidates of a mined directory with their scores; `.to_pandas()` for a data frame.

        Raises:
            UsageError: the directory has none.
        """
        from pyarrow.parquet import read_table

        return read_table(str(Path(self._files("scored")[0]).parent))

    def _files(self, name: str) -> list[str]:
        """List the Parquet files of a table, in the order in which they are read."""
        from hnmine.runner.storage import fetch_run

        fetch_run(self.path)
        if not (self.path / name).is_dir():
            raise UsageError(
                f"{self.place} has no {name}/.",
                why=f"It is a directory of `hnmine {self.manifest.get('stage', 'index')}`.",
                fix="Ask the result of filter_negatives for it.",
            )
        return [str(path) for path in sorted((self.path / name).glob("*.parquet"))]

    def as_json(self) -> Json:
        """Return the path, the counts and the notes as JSON values."""
        return {"path": self.place, "counts": dict(self.counts), "notes": list(self.notes)}

    @property
    def stage(self) -> str:
        """What kind of directory it is."""
        return str(self.manifest.get("stage", ""))

    def lines(self) -> Iterator[str]:
        """Return lines with the path, what came out, and the next command."""
        yield from self.summary()
        if follows := next_step(self.stage, self.place):
            yield follows

    def summary(self) -> Iterator[str]:
        """Return lines with the path and what came out."""
        yield self.place
        yield from summary(self.stage, self.counts)
        yield from self.notes if self.told is None else self.told

    def check(self) -> None:
        """Raise an error if nothing came out.

        Raises:
            InputError: the directory is finished and holds nothing.
        """
        check_not_empty(self.stage, self.place, self.counts)

    def __repr__(self) -> str:
        headlines = [name for name in HEADLINES if name in self.counts] or list(self.counts)[:3]
        counts = "".join(f", {name}={self.counts[name]:,}" for name in headlines)
        place = shortened(self.place)
        return f"<{type(self).__name__} {place!r}{counts}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td style='text-align: right'>{count:,}</td></tr>"
            for name, count in self.counts.items()
        )
        place, *notes = (
            escape(without_credentials(one_line(text))) for text in (self.place, *self.notes)
        )
        said = "".join(f"<p>{note}</p>" for note in notes)
        return f"<p><code>{place}</code></p><table>{rows}</table>{said}"


def count_lines(counts: Mapping[str, int]) -> Iterator[str]:
    """Return a line for each count; a file keeps its name."""
    names = (name if "." in name else name.replace("_", " ") for name in counts)
    return aligned(
        (f"  {name}", f"{count:,}") for name, count in zip(names, counts.values(), strict=True)
    )


class StageResults(Result, list[StageResult]):
    """The directories that `hnmine run` wrote, one for each command."""

    @property
    def mined(self) -> StageResult:
        """The directory that `filter` wrote; it has the tables `train` and `scored`."""
        return next(result for result in self if result.manifest.get("stage") == "mined")

    def as_json(self) -> list[Json]:
        """Return everything as JSON values."""
        return [result.as_json() for result in self]

    def lines(self) -> Iterator[str]:
        """Return lines with each directory and what came out."""
        for result in self:
            yield from result.summary()

    def check(self) -> None:
        """Raise an error if a directory holds nothing.

        Raises:
            InputError: it is finished and holds nothing.
        """
        for result in self:
            result.check()

    def __repr__(self) -> str:
        return list.__repr__(self)

    def _repr_html_(self) -> str:
        return "".join(result._repr_html_() for result in self)


def shortened(line: str) -> str:
    """Return a line without what would steer a terminal, and not much longer than a terminal is."""
    line = without_credentials(one_line(line))
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def base_plan(
    stage: str,
    settings: Settings,
    uses: Iterable[str] = (),
    packages: Mapping[str, str] = MappingProxyType({}),
) -> Json:
    """Return the part of a plan that all stages share.

    Args:
        stage: its name.
        settings: its settings.
        uses: keys of `LIBRARIES`, for libraries that not every stage needs.
        packages: versions of the packages that add sources or judges.
    """
    return {
        "schema_version": VERSION,
        "stage": stage,
        "settings": settings.plan(),
        "libraries": {**library_versions(uses), **packages},
    }


def library_versions(uses: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of the installed libraries that a result depends on.

    Args:
        uses: keys of `LIBRARIES`.
    """
    return versions_of({*ALWAYS, *(library for use in uses for library in LIBRARIES[use])})
