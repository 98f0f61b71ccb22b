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
import xxhash
from numba.core.caching import FunctionCache, IndexDataCacheFile

from hnmine.progress import note_compiling

Result = TypeVar("Result")


def compiled(**options: object) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Compile a function at its first call, without the GIL; options are those of `numba.njit`.

    The next process finds the code beside the module, in the user's cache or in `NUMBA_CACHE_DIR`;
    where none of these is writable, among the temporary files. Code beside the module is found
    even where it cannot be written, as in a container image. Numba compiles again when the text of
    a module of the folder changes.
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
    # Numba checks the time of the function's own file, but images do not keep times exactly, and it
    # compiles functions of other files into this one. With NUMBA_DISABLE_JIT it caches nothing.
    with suppress(AttributeError):
        cache = dispatcher._cache
        folder = Path(function.__code__.co_filename).parent
        cache._cache_file._source_stamp = _stamp(folder)
        beside = folder / "__pycache__"
        if Path(cache.cache_path) != beside:
            _look_also(cache, beside)
    return _announced(dispatcher)


def _look_also(cache: FunctionCache, folder: Path) -> None:
    """Let a cache load code that it lacks from a folder to which it does not write."""
    own, load = cache._cache_file, cache.load_overload
    other = IndexDataCacheFile(str(folder), cache._impl.filename_base, own._source_stamp)

    def load_from_both(*signature: object) -> object:
        found = load(*signature)
        if found is None:
            cache._cache_file = other
            # It may be another user's.
            with suppress(OSError):
                found = load(*signature)
            cache._cache_file = own
        return found

    cache.load_overload = load_from_both


def folder_of_cache(function: object) -> Path | None:
    """Return where the code of a compiled function is kept; None if nowhere."""
    path = getattr(getattr(function, "_cache", None), "cache_path", None)
    return Path(path) if path else None


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
def _stamp(folder: Path) -> str:
    """Return a hash of the modules in a folder."""
    modules = sorted(folder.glob("*.py"))
    texts = [part for path in modules for part in (path.name.encode(), path.read_bytes())]
    return xxhash.xxh3_128_hexdigest(b"\0".join(texts))


def _keep_among_temporary_files() -> None:
    """Let Numba cache code in a temporary folder, unless others could write there."""
    with suppress(OSError):
        folder = Path(gettempdir()) / f"hnmine-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            folder.chmod(0o700)
            numba.config.CACHE_DIR = str(folder)
