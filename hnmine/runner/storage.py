"""Shared storage without renames and locks: a URL, and its mirror on this machine.

A finished task uploads its outputs first and its marker last, so that marked outputs are whole. The
markers in the mirror follow those on the storage.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from hnmine.errors import InputError
from hnmine.runner.atomic import remove, temporary_name
from hnmine.runner.clearing import check_all_own, clear
from hnmine.runner.file_systems import explained, file_system
from hnmine.runner.locks import file_lock
from hnmine.runner.manifest import (
    DONE,
    MANIFEST,
    PLAN,
    RUN,
    changes,
    files_of,
    is_record,
    markers_of,
    outputs_of,
)
from hnmine.runner.safe_paths import safe_join
from hnmine.runner.urls import address_of, cache, mirror, public_url, split_url
from hnmine.schema import STATE

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo


class Store:
    """A place on shared storage, and its mirror.

    Args:
        url: of a file or a folder, which may not exist; `Store.url` is without credentials.
        root: the mirror.

    Raises:
        InputError: no file system is known for the scheme.
    """

    def __init__(self, url: str, root: Path) -> None:
        self.url, self.root = public_url(url), root
        found = split_url(url)
        assert found
        scheme, rest = found
        server, _, key = rest.partition("/")
        with explained(self.url):
            self._fs, base = file_system(scheme, server)
        self._base = "/".join(part for part in (base.rstrip("/"), key) if part)

    @classmethod
    def behind(cls, path: Path) -> Store | None:
        """Return the storage that a path mirrors; None for a local path."""
        url = address_of(path)
        return cls(url, path) if url else None

    def _at(self, name: str) -> str:
        """Return the key of a name, which must stay below the URL."""
        if name:
            safe_join(self.root, name, self.url)
        return f"{self._base}/{name}" if name else self._base

    def list(self, name: str = "", *, recursive: bool = True) -> dict[str, FileInfo]:
        """Return Arrow's `FileInfo` of the files below a folder, by their names from the root."""
        import pyarrow.fs

        chosen = pyarrow.fs.FileSelector(self._at(name), recursive=recursive, allow_not_found=True)
        with explained(self.url):
            found = self._fs.get_file_info(chosen)
        start = len(self._base.strip("/")) + 1
        named = {one.path.strip("/")[start:]: one for one in found if one.is_file}
        return {name: one for name, one in named.items() if name}

    def exists(self, name: str = "") -> bool:
        """Tell whether a file exists there."""
        with explained(self.url):
            return bool(self._fs.get_file_info(self._at(name)).is_file)

    def fetch(self, name: str = "", info: FileInfo | None = None) -> None:
        """Download a file to the mirror, unless the mirror holds the same version."""
        with explained(self.url):
            info = info or self._fs.get_file_info(self._at(name))
            here = safe_join(self.root, name, self.url) if name else self.root
            if not _is_version(here, info):
                # Another process that shares the mirror may fetch it now, and read it then.
                with _alone_at(str(here)):
                    if not _is_version(here, info):
                        self._download(info, here)

    def _download(self, info: FileInfo, here: Path) -> None:
        import pyarrow.fs

        here.parent.mkdir(parents=True, exist_ok=True)
        temporary = here.with_name(temporary_name(here.name))
        modified = info.mtime_ns or 0
        try:
            pyarrow.fs.copy_files(
                info.path,
                str(temporary),
                source_filesystem=self._fs,
                destination_filesystem=pyarrow.fs.LocalFileSystem(),
            )
            os.utime(temporary, ns=(modified, modified))
            temporary.replace(here)
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, name: str) -> None:
        """Upload a file, or all files of a folder, from the mirror."""
        import pyarrow.fs

        with explained(self.url):
            for file in files_of(self.root / name):
                if file.is_file():
                    target = self._at(file.relative_to(self.root).as_posix())
                    self._fs.create_dir(target.rpartition("/")[0], recursive=True)
                    pyarrow.fs.copy_files(
                        str(file),
                        target,
                        source_filesystem=pyarrow.fs.LocalFileSystem(),
                        destination_filesystem=self._fs,
                    )

    def delete(self, name: str) -> None:
        """Remove a file, or all files of a folder, from the storage."""
        self._delete([name] if self.exists(name) else self.list(name))

    def _delete(self, names: Iterable[str]) -> None:
        with explained(self.url):
            for one in names:
                with suppress(FileNotFoundError):  # Another process may have been first.
                    self._fs.delete_file(self._at(one))

    def write(self, name: str, text: str) -> None:
        """Upload a text, all or nothing."""
        with explained(self.url):
            self._fs.create_dir(self._at(name).rpartition("/")[0], recursive=True)
            with self._fs.open_output_stream(self._at(name)) as stream:
                stream.write(text.encode("utf-8", "surrogateescape"))

    # A run

    def check_place(self) -> None:
        """Refuse to write where others have written.

        Raises:
            InputError: the place holds files that hnmine did not write.
        """
        # Checked again, as another process may have begun meanwhile.
        if not self.exists(PLAN) and self.list() and not self.exists(PLAN):
            raise InputError(
                f"{self.url} is not empty and was not written by hnmine.",
                why="hnmine writes only into a place that is new, empty or its own.",
                fix="Choose another place.",
            )

    def fetch_state(self, *, alone: bool) -> None:
        """Copy plan, manifest and markers from the storage to the mirror."""
        at_top = self.list(recursive=False)
        wanted = self.list(DONE) | {
            name: at_top[name] for name in (MANIFEST, RUN) if name in at_top
        }
        # No other file of the state folder: its locks belong to one machine.
        state = self.list(STATE, recursive=False)
        wanted |= {name: one for name, one in state.items() if name == PLAN}
        for name, info in wanted.items():
            self.fetch(name, info)
        markers = [f"{DONE}/{file.name}" for file in markers_of(self.root)]
        for name in (MANIFEST, RUN, *((PLAN, *markers) if alone else ())):
            if name not in wanted:
                (self.root / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete what hnmine wrote there.

        Raises:
            InputError: the place holds other files; then none is deleted.
        """
        found = self.list()

        def read(name: str) -> Path:
            self.fetch(name, found[name])
            return self.root / name

        own = check_all_own(self.url, {name: one.size for name, one in found.items()}, read)
        self._delete(own)

    def fetch_marker(self, name: str) -> None:
        """Download the marker of a task, if another machine has done it."""
        if self.exists(f"{DONE}/{name}.json"):
            self.fetch(f"{DONE}/{name}.json")

    def fetch_output(self, output: str, recorded: object) -> str:
        """Download a task's output; say how it differs from its record, empty if it does not."""
        here = safe_join(self.root, output, self.url)
        if not is_record(recorded):
            return "was recorded by another version."
        with _alone_at(f"{here}/"):  # Another process that shares the mirror may fetch it too.
            if here.exists() and not changes(here, recorded):
                return ""
            remove(here)
            files = self.list(output) or {output: None}
            for name, info in files.items():
                if info is not None or self.exists(name):
                    self.fetch(name, info)
            for file in files_of(here) if here.exists() else []:
                os.utime(file, ns=(recorded["modified"], recorded["modified"]))
            return changes(here, recorded, untouched_too=True)


def _is_version(here: Path, info: FileInfo) -> bool:
    """Tell whether a mirror holds the version of a file that a listing shows."""
    with suppress(FileNotFoundError, NotADirectoryError):
        found = here.stat()
        return (found.st_size, found.st_mtime_ns) == (info.size, info.mtime_ns or 0)
    return False


@contextmanager
def _alone_at(what: str) -> Iterator[None]:
    """Let one process at a time replace a part of a mirror; the lock is not inside it."""
    locks = cache() / "fetching"
    locks.mkdir(parents=True, exist_ok=True)
    with file_lock(
        locks / xxhash.xxh3_64_hexdigest(what.encode("utf-8", "surrogateescape")), math.inf
    ):
        yield


def fetch_run(path: Path) -> None:
    """Download a finished directory to its mirror, checked; a local one stays as it is.

    Raises:
        InputError: a file there differs from the one that was written.
    """
    store = Store.behind(path)
    if store is None:
        return
    store.fetch_state(alone=False)
    markers = markers_of(path)
    for output in (one for marker in markers for one in outputs_of(path, marker) or []):
        if output.lasting and (found := store.fetch_output(output.name, output.recorded)):
            raise InputError(
                f"{store.url} is damaged.",
                why=f"{output.name} {found}",
                fix="Rerun the command that wrote it: it rewrites what is damaged.",
            )
    if not markers:  # A copy without the hidden folder is accepted.
        for name, info in store.list().items():
            store.fetch(name, info)


def clear_run(path: Path) -> None:
    """Delete what hnmine wrote into a run's directory, and on the storage that it mirrors.

    Raises:
        InputError: the directory holds other files; then none is deleted.
    """
    store = Store.behind(path)
    if store is None:
        clear(path)
        return
    store.clear()
    # A mirror keeps only the state folder, with its locks.
    for entry in path.iterdir():
        if entry.name != STATE:
            remove(entry)
    remove(path / DONE)


def fetch_input(place: str) -> Path:
    """Return a local path for an input: itself, or the mirror of a URL.

    Args:
        place: a file, a folder or a glob, as a path or a URL.
    """
    found = split_url(place)
    here = mirror(place, "inputs")
    if found is None or found[0] == "file":
        return here
    steps = place.split("/")
    wild = next((n for n, step in enumerate(steps) if set("*?[") & set(step)), len(steps))
    pattern = "/".join(steps[wild:]).replace("**/", "*")
    above = "/".join(steps[:wild])
    store = Store(above, mirror(above, "inputs"))
    if store.exists():
        store.fetch()
        return here
    found_there = store.list()
    inside = f"/{STATE}/"
    runs = tuple(f"{name.partition(inside)[0]}/" for name in found_there if inside in name)
    wanted = {
        name: info
        for name, info in found_there.items()
        # The reader applies the glob again, so that extra files do no harm.
        if not name.startswith(runs) and (not pattern or fnmatch(name, pattern))
    }
    for name, info in wanted.items():
        store.fetch(name, info)
    for file in files_of(store.root) if store.root.is_dir() else []:
        name = file.relative_to(store.root).as_posix()
        asked = not pattern or fnmatch(name, pattern)
        if asked and name not in wanted and file.is_file() and file.suffix != ".tmp":
            file.unlink(missing_ok=True)  # Another process may have been first.
    return here
