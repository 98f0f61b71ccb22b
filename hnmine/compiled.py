"""Functions compiled by Numba."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import TypeVar

import numba

from hnmine.progress import note_compiling

Result = TypeVar("Result")


def compiled(**options: object) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Compile a function at its first call, without the GIL; options are those of `numba.njit`.

    The next process finds the code beside the module, in the user's cache or in `NUMBA_CACHE_DIR`;
    where none of these is writable, among the temporary files. Numba compiles again when a module
    of the folder changes.
    """

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        # Numba raises it where no folder is writable.
        with suppress(RuntimeError):
            return _kept(function, options)
        _keep_among_temporary_files()
        with suppress(RuntimeError):
            return _kept(function, options)
        return _announced(numba.njit(nogil=True, **options)(function))

    return decorate


def _kept(function: Callable[..., Result], options: dict[str, object]) -> Callable[..., Result]:
    dispatcher = numba.njit(nogil=True, cache=True, **options)(function)
    # Numba checks the function's own file, but compiles functions of other files into it. With
    # NUMBA_DISABLE_JIT it caches nothing.
    with suppress(AttributeError):
        index = dispatcher._cache._cache_file
        folder = Path(function.__code__.co_filename).parent
        index._source_stamp = (index._source_stamp, _stamps(folder))
    return _announced(dispatcher)


def _announced(dispatcher: Callable[..., Result]) -> Callable[..., Result]:
    """Let the progress say it where no compiled code is kept, as compiling takes its time."""
    cache = getattr(dispatcher, "_cache", None)
    if cache is not None:
        load = cache.load_overload

        def load_or_say(*signature: object) -> object:
            found = load(*signature)
            if found is None:
                note_compiling()
            return found

        cache.load_overload = load_or_say
    return dispatcher


@cache
def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Return the names, times and sizes of the modules in a folder."""
    stats = ((path.name, path.stat()) for path in sorted(folder.glob("*.py")))
    return [(name, found.st_mtime_ns, found.st_size) for name, found in stats]


def _keep_among_temporary_files() -> None:
    """Let Numba cache code in a temporary folder, unless others could write there."""
    with suppress(OSError):
        folder = Path(gettempdir()) / f"hnmine-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            folder.chmod(0o700)
            numba.config.CACHE_DIR = str(folder)
