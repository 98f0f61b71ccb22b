"""`hnmine compare`: which of several mined directories is better, and in what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from hnmine.config import CompareSettings
from hnmine.directories.mined import Mined
from hnmine.errors import UsageError
from hnmine.printable import without_nan
from hnmine.report.changes import Changes, changes
from hnmine.results import Json, Result


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """The result of `hnmine compare`.

    Attributes:
        directories: the directories, in the order given.
        changes: what changed, query by query; None unless two directories were given.
    """

    directories: list[str]
    changes: Changes | None

    def as_json(self) -> Json:
        """Return everything as JSON values; an unknown number is null."""
        found: Json = without_nan(asdict(self))
        return found

    def lines(self) -> Iterator[str]:
        """Write the comparison for a terminal."""
        yield from self.directories
        if self.changes:
            yield ""
            yield from self.changes.lines()


def compare(settings: CompareSettings) -> Comparison:
    """Compare mined directories; with --train, train a model on each.

    Raises:
        HnmineError: a directory cannot be used.
    """
    directories = [Mined(path) for path in settings.mined]
    changed = None
    if len(directories) == 2:
        changed = changes(*directories, threads=settings.cpu_threads, most=settings.queries)
    if settings.train:  # `hnmine.training.measure_students` belongs here, imported on demand.
        raise UsageError("--train is not there yet.", fix="Leave it out.")
    return Comparison([str(mined.path) for mined in directories], changed)
