"""Verdicts given in this process, and changes that others make to a sheet meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Key = tuple[str, str, int]
"""The identity of a row of a sheet; see `Sheet.keys`."""


@dataclass(frozen=True)
class Given:
    """A verdict given in this process; `seen` holds the row's earlier values."""

    verdict: float | None
    seen: frozenset[float | None]


def settled(
    given: Mapping[Key, Given], theirs: Mapping[Key, float | None]
) -> tuple[dict[Key, Given], list[str]]:
    """Return the verdicts given here that stay, and a note on each change by others.

    A value that the sheet had before comes from an older copy that an editor saved. Any other value
    is a later verdict, which replaces the one given here.
    """
    stand, notes = dict(given), []
    for key, mine in given.items():
        found = theirs.get(key)
        if found == mine.verdict:
            continue
        if found in mine.seen:
            notes.append(note_on(key, found, f"{word_for(mine.verdict)}, given here, is put back"))
        else:
            notes.append(
                note_on(key, found, f"it replaces {word_for(mine.verdict)}, given here before")
            )
            del stand[key]
    return stand, notes


def note_on(key: Key, found: float | None, outcome: str) -> str:
    """Say that another process changed a verdict, and what comes of it."""
    return f"{key[0]}, {key[1]}: the sheet was changed meanwhile to {word_for(found)}; {outcome}."


def word_for(verdict: float | None) -> str:
    """Return a verdict in words."""
    return "no verdict" if verdict is None else f"verdict {verdict:g}"
