"""Names of places: local paths, and URLs of storage that many machines reach.

What is at a URL is worked on in a mirror, a local folder that follows from the URL.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+([^/].*)", re.DOTALL)
"""A scheme and the rest; a `Path` that was made of a URL has lost one of its slashes."""


def split_url(place: str | Path) -> tuple[str, str] | None:
    """Return the scheme of a URL, and what follows its slashes; None for a local path."""
    found = _URL.fullmatch(str(place)) if isinstance(place, Path) or "://" in place else None
    return (found[1], found[2].rstrip("/")) if found else None


def cache() -> Path:
    """Return the folder of the mirrors: HNMINE_CACHE, else one in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HNMINE_CACHE") or Path(home) / "hnmine").absolute()


def mirror(place: str | Path, kind: str = "runs") -> Path:
    """Return the local folder or file where a place is worked on: itself, unless it is a URL.

    Args:
        place: a path or a URL.
        kind: `runs`, that are written, or `inputs`, that are read.
    """
    found = split_url(place)
    if found is None:
        return Path(place)
    scheme, rest = found
    return Path("/", rest) if scheme == "file" else cache() / kind / scheme / rest


def mirrored(path: Path) -> str | None:
    """Return the URL whose mirror a path is in, of what is written; None for other paths."""
    path, root = path.absolute(), cache() / "runs"
    if not path.is_relative_to(root) or len(inside := path.relative_to(root).parts) < 2:
        return None
    return f"{inside[0]}://{'/'.join(inside[1:])}"


def name_of(path: Path) -> str:
    """Return what means the same place wherever it is read: a URL, or an absolute path."""
    return mirrored(path) or str(path.resolve())
