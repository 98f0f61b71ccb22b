"""Find the files of a directory that hnmine wrote: it deletes no others."""

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
"""Files of the state folder that running processes hold open."""

_INNER = re.compile(f"(({'|'.join(INNER)})/[^/]+/)+")


def clear(path: Path) -> None:
    """Delete what hnmine wrote into a directory, except locks.

    Raises:
        InputError: the directory holds other files; then none is deleted.
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
    """Return the files of a directory, checked to be hnmine's.

    Raises:
        InputError: naming files that no marker and no manifest accounts for.
    """
    own: set[str] = set()
    # Directories of plans, each with a slash at its end; empty for the root.
    for place in sorted({name.removesuffix(PLAN) for name in sizes if name.endswith(PLAN)} | {""}):
        if place and not _INNER.fullmatch(place):
            continue  # Another directory, which someone put here.
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
            f"{where} holds files that hnmine did not write there: "
            f"{', '.join(others[:MOST_NAMED])}{more}.",
            why="Rewriting the directory would delete them.",
            fix="Move them elsewhere, or choose another directory.",
        )
    return sorted(own)


def _shortest(others: Iterable[str], own: Iterable[str]) -> list[str]:
    """Name files, or the folder where all of its files are someone else's."""
    shared = {folder for name in own for folder in PurePosixPath(name).parents}
    found = set()
    for name in others:
        strange = [one for one in PurePosixPath(name).parents if one not in shared]
        found.add(f"{strange[-1]}/" if strange else name)
    return sorted(found)


def _written(output: Output, inside: Mapping[str, str], sizes: Mapping[str, int]) -> list[str]:
    """Return the files of a directory that make up an output."""
    if output.name in inside:
        return [output.name]
    start = f"{output.name}/"
    found = [name for name in inside if name.startswith(start)]
    recorded = output.recorded if isinstance(output.recorded, dict) else {}
    if "files" in recorded:
        return [name for name in found if name.removeprefix(start) in recorded["files"]]
    # Earlier versions recorded only the total size of a folder.
    total = sum(sizes[inside[name]] for name in found)
    return found if recorded.get("bytes", total) == total else []


def _files(path: Path) -> Iterator[tuple[str, int]]:
    for folder, folders, files in os.walk(path):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*files, *links):
            file = Path(folder, name)
            yield file.relative_to(path).as_posix(), file.lstat().st_size
