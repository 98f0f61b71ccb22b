"""Refuse paths from data that lead out of the directory that names them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hnmine.errors import InputError

LONGEST = 255
"""Bytes that file systems allow for a name."""


def safe_join(root: Path, name: object, said_by: Path | str = "") -> Path:
    """Return the path of a name below a directory.

    Args:
        root: the directory.
        name: parts joined by `/`, as a marker, a manifest or a listing of storage gives it.
        said_by: source of the name, for the error.

    Raises:
        InputError: the name is empty, absolute, holds `..`, or is no text.
    """
    parts = name.split("/") if isinstance(name, str) else [""]
    if not all(map(_is_plain, parts)) or parts[0][1:2] == ":":
        raise InputError(
            f"{said_by or root} is damaged: it names {str(name)[:200]!r}.",
            why=f"That is not inside {root}. hnmine did not write this name, and does not follow "
            "it.",
            fix="Write the directory again, or ask its sender for a whole one.",
        )
    return root.joinpath(*parts)


def _is_plain(part: str) -> bool:
    try:
        size = len(part.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return False
    return part not in ("", ".", "..") and not {"\0", "\\"} & set(part) and size <= LONGEST


def check_links(root: Path, path: Path) -> None:
    """Refuse to write or delete where a link inside a directory leads out of it.

    Raises:
        InputError: a folder on the way to the path is a link.
    """
    for folder in path.parents:
        if folder == root:
            return
        if folder.is_symlink():
            raise InputError(
                f"{folder} is a link to {folder.readlink()}.",
                why="hnmine writes and deletes nothing outside its own directory.",
                fix="Replace it with a real folder.",
            )


def check_plain(folder: Path, *, links: bool = True) -> None:
    """Refuse a folder that holds pipes, devices or sockets: reading them may never end.

    Args:
        folder: it may be missing.
        links: allow links. Where hnmine opens files for writing, as its locks, a link would
            overwrite its target.

    Raises:
        InputError: an entry is neither a file nor a folder.
    """
    for path in (folder, *_entries(folder)):
        try:
            kind = (path.stat() if links else path.lstat()).st_mode
        except OSError:  # It is missing, or a link to nothing.
            continue
        if not (stat.S_ISDIR(kind) or (stat.S_ISREG(kind) and path != folder)):
            raise InputError(
                f"{path} is not a plain file or folder.",
                why="hnmine writes nothing else into its directories.",
                fix="Remove it, or use another directory.",
            )


def _entries(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        yield from (Path(here, name) for name in (*folders, *files))
