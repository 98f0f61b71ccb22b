"""What a command says at its end: what came out, what is wrong with it, what to run next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath

from hnmine.errors import InputError
from hnmine.printable import command_on

Counts = Mapping[str, int]

MADE = {
    "index": "documents_unique",
    "candidates": "candidates",
    "mined": "negatives",
    "batches": "batches",
    "generated": "texts",
    "mixed": "mixtures",
    "export": "rows",
}
"""What each stage makes; without any, what follows has nothing to work on."""

_DROPPED, _FROM = "dropped_", "candidates_from_"
SHOWN = 6
"""Counts in a line."""


def summary(stage: str, counts: Counts) -> Iterator[str]:
    """Yield lines with the counts that matter; a directory's manifest has all of them.

    Args:
        stage: of the directory.
        counts: of its manifest.
    """
    if stage == "index":
        rows, unique = counts["documents_rows"], counts["documents_unique"]
        yield f"  {unique:,} documents" + (f" in {rows:,} rows" if rows != unique else "")
        if added := counts.get("documents_added"):
            yield f"  added: {added:,} of the passages in pairs, which the corpus lacks"
    elif stage == "candidates":
        found = _listed(counts, _FROM)
        where = f" ({found})" if found else ""
        yield f"  {counts['candidates']:,} candidates for {counts['queries']:,} queries{where}"
    elif stage != "mined":  # Its notes begin with a summary.
        rest = {name: n for name, n in counts.items() if not name.startswith(_DROPPED)}
        yield f"  {_listed(rest, '')}"
    if said := _listed(counts, _DROPPED):
        yield f"  dropped: {said}"


def dropped(counts: Counts) -> dict[str, int]:
    """Return how many candidates each rule dropped, by its name."""
    return {n.removeprefix(_DROPPED): c for n, c in counts.items() if n.startswith(_DROPPED)}


def _listed(counts: Counts, prefix: str) -> str:
    """List the counts whose name has a prefix, largest first; those of nothing are left out."""
    found = {n.removeprefix(prefix): c for n, c in counts.items() if n.startswith(prefix) and c}
    ordered = sorted(found, key=lambda name: -found[name])
    shown = [f"{name.replace('_', ' ')} {found[name]:,}" for name in ordered[:SHOWN]]
    return ", ".join([*shown, "…"] if len(ordered) > SHOWN else shown)


NEXT = {
    "index": ("mine", "candidates", ("--pairs", "pairs.parquet")),
    "candidates": ("filter", "mined", ()),
}
"""The command that follows each stage, the folder beside that it writes, and what it takes."""


def next_step(stage: str, place: str) -> str:
    """Return the command that follows a directory; empty where none must follow.

    Args:
        stage: of the directory.
        place: its path or URL.
    """
    if stage not in NEXT or "://" in place:
        return ""
    name, folder, more = NEXT[stage]
    output = str(PurePath(place).parent / folder)
    return f"Next: `{command_on(name, place, *more, '--output', output)}`"


def check_not_empty(stage: str, place: str, counts: Counts) -> None:
    """Raise an error if a finished directory holds nothing.

    Args:
        stage: of the directory.
        place: its path or URL.
        counts: of its manifest.

    Raises:
        InputError: nothing came out; it names what dropped most.
    """
    made = MADE.get(stage)
    if made is None or counts.get(made, 1):
        return
    name = made.replace("_", " ")
    said = _listed(counts, _DROPPED)
    fixes = {
        "mined": f"Loosen that rule; `{command_on('report', place)}` shows what it dropped.",
        "candidates": "Raise --top-k, or loosen --constraint.",
    }
    raise InputError(
        f"{place} holds no {name}: nothing can be made of it.",
        why=f"Dropped: {said}." if said else "",
        fix=fixes.get(stage, "Check the inputs and the settings."),
    )
