"""`hnmine compare`: what differs between mined directories, in numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from hnmine.config import CompareSettings
from hnmine.config.compare_settings import MOST_DIRECTORIES
from hnmine.directories.mined import Mined
from hnmine.errors import InputError, UsageError, damage_explained
from hnmine.printable import shell
from hnmine.report.changes import Changes, changes
from hnmine.report.compared_table import Table
from hnmine.report.measures import Measured, hardness_of, measured
from hnmine.report.overlap import Overlap, overlap
from hnmine.report.templates import template
from hnmine.results import Result
from hnmine.runner.atomic import write_text
from hnmine.runner.plan import canonical_json
from hnmine.training.reached import Students
from hnmine.training.retrieval_measures import MEASURES

OWNED = ("manifest.json", "plan.json")
"""Files of directories that other commands write."""

PAGE, VALUES = "compare.html", "compare.json"


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """The result of `hnmine compare`.

    Attributes:
        directories: what was measured of each, in the order given.
        overlap: what they share.
        changes: what changed, query by query; None unless two directories were given.
        output: the folder of the page and of `compare.json`; None if nothing was written.
        students: what models trained on the directories retrieve; None without --train.
    """

    directories: list[Measured]
    overlap: Overlap
    changes: Changes | None = None
    output: str | None = None
    students: Students | None = None

    @classmethod
    def read(cls, folder: Path) -> Comparison:
        """Read what `hnmine compare --output` wrote.

        Raises:
            InputError: the folder has no such file, or a damaged one.
        """
        file = folder / VALUES
        if not file.is_file():
            raise InputError(
                f"{folder} has no {VALUES}.",
                why="`hnmine compare` did not write there.",
                fix="Run `hnmine compare` with --output and this folder first.",
            )
        with damage_explained(file):
            found = TypeAdapter(cls).validate_python(json.loads(file.read_text("utf-8")))
            _check_shape(found)
        return replace(found, output=str(folder))

    def lines(self) -> Iterator[str]:
        """Write the comparison for a terminal."""
        yield from self.table.lines()
        if self.students:
            yield ""
            yield from self.students.lines()
        if self.changes:
            yield ""
            yield from self.changes.lines()
        if self.output:
            yield ""
            yield f"Page: {Path(self.output) / PAGE}"

    @property
    def table(self) -> Table:
        """The table of the directories."""
        return Table.of(self.directories, self.overlap)


def compare(settings: CompareSettings) -> Comparison:
    """Compare mined directories; with --train, train a model on each.

    Raises:
        HnmineError: a directory cannot be used.
    """
    if settings.output:
        _check_free(settings.output)
    if settings.train:
        from hnmine.training.students import student_of  # Few comparisons need it.

        student_of(settings.train, settings.device)
    directories = [Mined(path) for path in settings.mined]
    with ExitStack() as opened:
        views = [opened.enter_context(one.sql(settings.cpu_threads)) for one in directories]
        hardness = [hardness_of(mined) for mined in directories]
        recorded = all(one is not None and one.most_uses is not None for one in hardness)
        found = Comparison(
            [_measured(one, settings.cpu_threads, recorded) for one in directories],
            overlap(views),
            changes(views[0], views[1], settings.queries) if len(views) == 2 else None,
            str(settings.output) if settings.output else None,
        )
    if settings.output:
        _write(settings.output, found)
    if settings.train and settings.output:
        from hnmine.training.measuring import measure_students

        found = replace(found, students=measure_students(directories, settings))
        _write(settings.output, found)
    return found


def _measured(mined: Mined, threads: int, recorded: bool) -> Measured:
    """Measure a directory in a connection of its own: an open one keeps the memory that it had."""
    with mined.sql(threads) as view:
        return measured(view, hardness_of(mined), use_recorded=recorded)


def _check_free(folder: Path) -> None:
    owned = next((name for name in OWNED if (folder / name).exists()), None)
    if owned or (folder.exists() and not folder.is_dir()):
        raise UsageError(
            f"--output {folder} is not free for a comparison.",
            why=f"Another command wrote its {owned}." if owned else "It is a file.",
            fix="Pass --output with another folder.",
        )


def _write(folder: Path, found: Comparison) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [one.path for one in found.directories]
    page = template("compare.html.j2").render(
        compared=found.table,
        changes=found.changes,
        students=found.students,
        train=shell(["hnmine", "compare", *paths, "--train", "MODEL", "--output", folder]),
    )
    write_text(folder / VALUES, canonical_json(found.as_json()))
    write_text(folder / PAGE, page)


def _check_shape(found: Comparison) -> None:
    """Check that no part of a table is missing; the file may come from someone else."""
    size = len(found.directories)
    tables: Sequence[Sequence[Sequence[object]]] = (found.overlap.queries, found.overlap.negatives)
    if not 1 <= size <= MOST_DIRECTORIES or any(
        len(table) != size or any(len(row) != size for row in table) for table in tables
    ):
        raise ValueError("Its overlap is not of each two directories.")
    arms = found.students.arms if found.students else []
    if found.students and not (arms and all(set(MEASURES) <= set(arm.means) for arm in arms)):
        raise ValueError("Its students lack a measure.")
