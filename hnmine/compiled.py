"""Functions compiled by Numba."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function at its first call, to run while other threads do.

    The code is kept for the next process: beside the module, else in the user's cache, or where
    `NUMBA_CACHE_DIR` says. Where these cannot be written to, as in a sealed container, it is kept
    among the temporary files, or not at all. It is made anew when a module of the folder changes.

    Args:
        options: further ones of `numba.njit`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        # What Numba raises where it finds no place.
        with suppress(RuntimeError):
            return _kept(function, options)
        _keep_among_temporary_files()
        with suppress(RuntimeError):
            return _kept(function, options)
        return numba.njit(nogil=True, **options)(function)

    return decorate


def _kept(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    dispatcher = numba.njit(nogil=True, cache=True, **options)(function)
    # Numba looks at the function's own file, but what it calls of others is compiled into it. With
    # NUMBA_DISABLE_JIT there is nothing to keep.
    with suppress(AttributeError):
        index = dispatcher._cache._cache_file
        folder = Path(function.__code__.co_filename).parent
        index._source_stamp = (index._source_stamp, _stamps(folder))
    return dispatcher


@cache
def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Return the names, times and sizes of the modules in a folder."""
    stats = ((path.name, path.stat()) for path in sorted(folder.glob("*.py")))
    return [(name, found.st_mtime_ns, found.st_size) for name, found in stats]


def _keep_among_temporary_files() -> None:
    """Let Numba keep code in a temporary folder, unless others could put code there."""
    with suppress(OSError):
        folder = Path(gettempdir()) / f"hnmine-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            folder.chmod(0o700)
            numba.config.CACHE_DIR = str(folder)
