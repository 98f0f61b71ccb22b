"""What went wrong and was mended while a run went on: noted with the task that follows."""

from __future__ import annotations

import logging

from hnmine.printable import one_line, without_credentials

log = logging.getLogger("hnmine")
_noted: list[str] = []


def note(what: str) -> None:
    """Keep an incident for `run.json`, and say it on stderr."""
    shown = without_credentials(one_line(what))
    log.warning(shown)
    _noted.append(shown)


def note_once(what: str) -> None:
    """Note what several readings of one file would each note."""
    if without_credentials(one_line(what)) not in _noted:
        note(what)


def drain() -> list[str]:
    """Return what was noted since the last call."""
    noted = list(_noted)
    _noted.clear()
    return noted
