"""`hnmine review`: a person judges doubtful candidates, on a page or in a sheet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hnmine.audit.auditing import audit
from hnmine.audit.estimate import Audit
from hnmine.config import AuditSettings, ReviewSettings
from hnmine.directories.mined import Mined
from hnmine.errors import UsageError
from hnmine.printable import aligned, shell
from hnmine.report.verdict import filter_command
from hnmine.results import Json, Result
from hnmine.review.doubtful import PER_QUERY, choose
from hnmine.review.server import ReviewServer
from hnmine.schema import RELEVANT
from hnmine.sheets.draw import EVEN
from hnmine.sheets.sheet import Sheet, beside, count, with_texts

REVIEWED = "-reviewed"
"""End of the name of the directory that the verdicts are filtered into."""


@dataclass(frozen=True, repr=False)
class Reviewed(Result):
    """The result of `hnmine review`.

    Attributes:
        sheet: the file with the verdicts.
        counts: rows of the sheet: all, judged, judged relevant.
        audit: the share of false negatives, by the verdicts.
        commands: that use the verdicts.
        notes: changes by others to the sheet during the review.
    """

    sheet: Path
    counts: dict[str, int]
    audit: Audit
    commands: list[str]
    notes: list[str]

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        estimates = self.audit.as_json()["estimates"]
        return {
            "sheet": str(self.sheet),
            "counts": self.counts,
            "estimates": estimates,
            "commands": self.commands,
            "notes": self.notes,
        }

    def lines(self) -> Iterator[str]:
        """Return the lines for a terminal."""
        yield f"{self.sheet}"
        yield from aligned((f"  {name}", f"{number:,}") for name, number in self.counts.items())
        yield from self.audit.estimate_lines()
        yield from self.notes
        yield "To use the verdicts:"
        for command in self.commands:
            yield from command.split("\n")


def review(settings: ReviewSettings) -> Reviewed:
    """Choose candidates, add them to the sheet, and serve the page for a person to judge them.

    Raises:
        HnmineError: the directory or the sheet cannot be used.
    """
    mined = Mined(settings.mined, settings.candidates, settings.index)
    sheet, missing = _sheet(settings, mined)
    notes: list[str] = []
    if settings.page:
        server = ReviewServer(sheet, settings.port)
        sys.stderr.write(
            f"Judge at {server.url}\nCtrl-C ends the review; every verdict is saved at once.\n"
        )
        sys.stderr.flush()
        server.until_done()
        notes = [*server.notes, *sheet.settle()]
    notes += missing
    known = AuditSettings(mined=settings.mined, verdicts=str(sheet.path), shortcuts=False)
    commands = _commands(mined, sheet.path, settings.index)
    return Reviewed(sheet.path, count(sheet), audit(known), commands, notes)


def _sheet(settings: ReviewSettings, mined: Mined) -> tuple[Sheet, list[str]]:
    """Open or create the sheet, add the candidates to judge, and say if they are too few."""
    path = settings.sheet or _filtered_with(mined) or beside(mined.path, "-review.csv")
    asked_before = Sheet.open(path).table.num_rows if path.exists() else 0
    with mined.sql(settings.cpu_threads) as scored:
        chosen = choose(scored, settings.doubtful, settings.evenly_drawn, settings.seed)
    rows = with_texts(mined.candidates, chosen)
    if not rows.num_rows and not asked_before:
        raise UsageError(
            f"No candidate of {settings.mined} is left to judge.",
            why=f"--doubtful {settings.doubtful} and --even {settings.evenly_drawn} choose none; "
            "judged candidates are not chosen again.",
            fix="Raise --doubtful or --even.",
        )
    return Sheet.join(path, rows), [*_too_few(settings, chosen["drawn"].to_pylist())]


def _too_few(settings: ReviewSettings, drawn: list[str]) -> Iterator[str]:
    """Yield why the sheet got fewer rows than were asked for."""
    even = drawn.count(EVEN)
    doubtful = len(drawn) - even
    if doubtful < settings.doubtful:
        yield (
            f"{doubtful} of {settings.doubtful} doubtful candidates were found: at most "
            f"{PER_QUERY} of one query and one kind of doubt, and none that is judged."
        )
    if even < settings.evenly_drawn:
        yield f"{even} of {settings.evenly_drawn} other negatives were found: no more are left."


def _filtered_with(mined: Mined) -> Path | None:
    """Return the file of verdicts that the directory was filtered with; None without one.

    Raises:
        UsageError: the file is not beside the directory. A directory that someone sent must not
            choose which of the user's files is written.
    """
    files = (Path(name) for name in mined.manifest.settings.judge if _is_file(name))
    named = next(files, None)
    if named and not named.resolve().is_relative_to(mined.path.resolve().parent):
        raise UsageError(
            f"{mined.path} was filtered with the verdicts in {named}, which is in another folder.",
            why="hnmine adds to a sheet in another folder only if you name it.",
            fix=f"Pass --sheet {shell([named])} to add to it, or --sheet with a new file.",
        )
    return named


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # Too long for a name, or with a null in it.
        return False


def _commands(mined: Mined, sheet: Path, index: Path | None) -> list[str]:
    """Return the commands that filter by the verdicts and report on the result."""
    settings, relevant = mined.manifest.settings, f"verdict >= {RELEVANT}"
    given = relabel = settings.relabel
    if not settings.lazy and relevant not in (given or ""):
        relabel = f"({given}) or {relevant}" if given else relevant
    again = filter_command(mined, str(sheet), REVIEWED, index, relabel=relabel)
    report = ["hnmine", "report", beside(mined.path, REVIEWED), "--verdicts", sheet]
    return [again, shell(report)]
