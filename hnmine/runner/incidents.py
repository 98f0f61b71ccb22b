"""Problems that a run overcame, recorded with the next task."""

from __future__ import annotations

import logging

from hnmine.printable import one_line, without_credentials

log = logging.getLogger("hnmine")
_noted: list[str] = []


def note(what: str) -> None:
    """Keep an incident for `run.json`, and log it."""
    shown = without_credentials(one_line(what))
    log.warning(shown)
    _noted.append(shown)


def note_once(what: str) -> None:
    """Note an incident that several readers of one file would repeat."""
    if without_credentials(one_line(what)) not in _noted:
        note(what)


def drain() -> list[str]:
    """Return the incidents since the last call."""
    noted = list(_noted)
    _noted.clear()
    return noted
