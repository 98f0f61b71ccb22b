"""Check a directory before a run writes to it: its place, and the outputs of earlier runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hnmine.errors import InputError
from hnmine.progress import progress_bar
from hnmine.runner import incidents, interrupts
from hnmine.runner.atomic import remove, write_text
from hnmine.runner.manifest import CLAIMED, changes, markers_of, outputs_of
from hnmine.runner.plan import canonical_json
from hnmine.runner.safe_paths import check_links, check_plain
from hnmine.schema import STATE


def check_place(path: Path) -> None:
    """Refuse a path where hnmine cannot write a directory.

    Raises:
        InputError: it is not UTF-8, a file, or someone else's directory.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"The path {str(path)!r} is not UTF-8.",
            why="Arrow cannot open such files.",
            fix="Choose another path, or change to that directory and give a relative one.",
        ) from error
    if path.exists() and not path.is_dir():
        raise InputError(
            f"{path} is a file, not a directory.",
            why="hnmine writes a directory of files.",
            fix="Choose another path.",
        )
    check_plain(path / STATE, links=False)
    # In this order: another process may be creating it.
    if path.exists() and any(path.iterdir()) and not (path / STATE).exists():
        raise InputError(
            f"{path} is not empty and was not written by hnmine.",
            why="hnmine writes only into a directory that is new, empty or its own.",
            fix="Choose another directory.",
        )


def check_outputs(path: Path, *, progress: bool) -> None:
    """Compare the outputs of earlier runs with their checksums; delete those that differ."""
    markers = markers_of(path)
    with progress_bar("check finished outputs", "tasks", len(markers), 0, progress) as bar:
        for marker in markers:
            for output in outputs_of(path, marker) or []:
                file = output.path
                if file.exists() and (found := changes(file, output.recorded, untouched_too=True)):
                    check_links(path, file)
                    incidents.note(f"{file} {found} It is written again.")
                    remove(file)
            bar.update(1)
            interrupts.check()


def claim(root: Path, name: str, outputs: Iterable[str]) -> None:
    """Record in a run's directory that hnmine writes files there besides those of its tasks."""
    if (root / STATE).is_dir():
        check_plain(root / STATE, links=False)
        file = root / CLAIMED / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        write_text(file, claim_of(outputs), root / STATE)


def claim_of(outputs: Iterable[str]) -> str:
    """Return the text that claims files before hnmine writes them, in case of a kill."""
    return canonical_json({"outputs": dict.fromkeys(outputs)})
