"""Which files of a directory hnmine wrote: only those are ever deleted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from hnmine.errors import InputError
from hnmine.runner.manifest import CLAIMED, DONE, MANIFEST, PLAN, RUN, Output, outputs_of
from hnmine.runner.safe_paths import check_links
from hnmine.schema import INNER, STATE

MOST_NAMED = 5
"""Files that an error names: it must fit on a screen."""

HELD = ("lock", "tasks", "door", "driver")
"""What the state folder holds that running processes have open."""

_INNER = re.compile(f"(({'|'.join(INNER)})/[^/]+/)+")


def clear(path: Path) -> None:
    """Delete what hnmine wrote into a directory, but for locks.

    Raises:
        InputError: something else is there; then nothing is deleted.
    """
    sizes = dict(_files(path))
    own = check_all_own(str(path), sizes, lambda name: path / name)
    for name in own:
        check_links(path, path / name)
    for name in own:
        if not (name.startswith(f"{STATE}/") and name.split("/")[1] in HELD):
            (path / name).unlink(missing_ok=True)
    emptied = {path / folder for name in own for folder in Path(name).parents}
    for here, _, _ in os.walk(path, topdown=False):
        folder = Path(here)
        ours = folder in emptied or STATE in folder.relative_to(path).parts
        if ours and folder not in (path, path / STATE) and not any(folder.iterdir()):
            folder.rmdir()


def check_all_own(
    where: str, sizes: Mapping[str, int], fetched: Callable[[str], Path]
) -> list[str]:
    """Return the files of a directory, all of them hnmine's.

    Args:
        where: the directory, for the error.
        sizes: of its files, by their names in it.
        fetched: returns the local file of a name.

    Raises:
        InputError: naming files that no marker and no manifest accounts for.
    """
    own: set[str] = set()
    for place in sorted({_place_of(name) for name in sizes if name.endswith(PLAN)} | {""}):
        if place and not _INNER.fullmatch(place):
            continue  # A directory of its own, which somebody put here.
        inside = {name.removeprefix(place): name for name in sizes if name.startswith(place)}
        own |= {inside[name] for name in (MANIFEST, RUN) if name in inside}
        own |= {inside[name] for name in inside if name.startswith(f"{STATE}/")}
        for name in inside:
            if name.startswith((f"{DONE}/", f"{CLAIMED}/")):
                for output in outputs_of(Path(where, place), fetched(inside[name])) or []:
                    if output.lasting:  # All of the state folder is hnmine's already.
                        own |= {inside[one] for one in _written(output, inside, sizes)}
    if others := _shortest(sizes.keys() - own, own):
        more = f" and {len(others) - MOST_NAMED:,} more" if len(others) > MOST_NAMED else ""
        raise InputError(
            f"{where} holds what hnmine did not write there: "
            f"{', '.join(others[:MOST_NAMED])}{more}.",
            why="Writing the directory anew would delete it.",
            fix="Move them elsewhere, or choose another directory.",
        )
    return sorted(own)


def _shortest(others: Iterable[str], own: Iterable[str]) -> list[str]:
    """Return names of files, and in their place those of folders that hold nothing of hnmine's."""
    shared = {folder for name in own for folder in PurePosixPath(name).parents}
    found = set()
    for name in others:
        strange = [one for one in PurePosixPath(name).parents if one not in shared]
        found.add(f"{strange[-1]}/" if strange else name)
    return sorted(found)


def _place_of(plan: str) -> str:
    """Return the directory that a plan is of, with a slash at its end; empty for the root."""
    return plan.removesuffix(PLAN)


def _written(output: Output, inside: Mapping[str, str], sizes: Mapping[str, int]) -> list[str]:
    """Return which files of a directory an output is."""
    if output.name in inside:
        return [output.name]
    start = f"{output.name}/"
    found = [name for name in inside if name.startswith(start)]
    recorded = output.recorded if isinstance(output.recorded, dict) else {}
    if "files" in recorded:
        return [name for name in found if name.removeprefix(start) in recorded["files"]]
    # An earlier version did not say which files a folder holds, but how large they are together.
    total = sum(sizes[inside[name]] for name in found)
    return found if recorded.get("bytes", total) == total else []


def _files(path: Path) -> Iterator[tuple[str, int]]:
    for folder, folders, files in os.walk(path):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*files, *links):
            file = Path(folder, name)
            yield file.relative_to(path).as_posix(), file.lstat().st_size
