"""Locks on a run's directory, for one writer or several that share its tasks.

The kernel releases a lock when its process ends, however it ends. Several machines can share a run
on a file system with locks, such as NFS 4 and Lustre (mounted with flock).
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import xxhash

from hnmine.errors import InputError, PartialRun
from hnmine.runner import interrupts

OFFSETS = 1 << 62
MOST_SHOWN = 8
LONGEST_WAIT, LOOK_AGAIN = 20, 0.02
"""Seconds to wait for a file's lock, and between two tries."""


class DirectoryLock:
    """A held lock on a directory.

    Attributes:
        alone: no other process held it when this one got it.
    """

    def __init__(self, state: Path, directory: Path, *, together: bool) -> None:
        """Take the lock.

        Args:
            state: the folder of the lock files.
            directory: for the error.
            together: share it with other processes that pass this too.

        Raises:
            PartialRun: another process holds it, and does not share.
        """
        self._state, self._together = state, together
        self._file = (state / "lock").open("a+")
        self._tasks = (state / "tasks").open("a+")
        self.alone = _try(self._file, fcntl.LOCK_EX)
        if not self.alone and not (together and _try(self._file, fcntl.LOCK_SH)):
            holders = self._holders()
            self.close()
            raise PartialRun(
                f"Another run writes to {directory}.",
                why=f"It is {holders or 'a process that has just started'}.",
                fix="Wait for it, stop it, or choose another directory.",
            )
        if self.alone:
            self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._file.flush()

    def let_others_in(self) -> None:
        """Share the lock from now on with processes that share."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def is_last(self) -> bool:
        """Tell whether no other process holds the lock; from then on others must wait."""
        return _try(self._file, fcntl.LOCK_EX)

    @contextmanager
    def task(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        """Try to hold a task; yield whether this process holds it.

        Args:
            name: of the task.
            wait: until another process has ended it.
        """
        if not self._together:
            yield True
            return
        place = xxhash.xxh3_64_intdigest(name.encode()) % OFFSETS
        try:
            fcntl.lockf(self._tasks, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except (BlockingIOError, PermissionError):
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._tasks, fcntl.LOCK_UN, 1, place)

    def close(self) -> None:
        """Release the lock."""
        self._file.close()
        self._tasks.close()

    def _holders(self) -> str:
        self._file.seek(0)
        lines = [line for line in self._file.read().splitlines() if line.strip()]
        return ", ".join(lines[-MOST_SHOWN:])


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def one_at_a_time(state: Path) -> Iterator[None]:
    """Let processes that share a directory enter and leave one at a time."""
    with (state / "door").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def file_lock(path: Path, longest: float = LONGEST_WAIT) -> Iterator[None]:
    """Let one process at a time read and rewrite a file; the lock is a file beside it.

    Args:
        path: of the file, in a folder that exists.
        longest: seconds to wait for another process.

    Raises:
        PartialRun: another process holds it for longer.
    """
    beside = path.resolve()
    beside = beside.with_name(f".{beside.name}.lock")
    deadline = time.monotonic() + longest
    while True:
        with beside.open("a") as file:
            if _try(file, fcntl.LOCK_EX) and _is_at(file, beside):
                try:
                    yield
                finally:
                    beside.unlink(missing_ok=True)
                return
        if time.monotonic() > deadline:
            raise PartialRun(
                f"Another process is writing {path}.",
                why=f"It has held {beside} for {longest:g} seconds.",
                fix="Wait for it, or stop it.",
            )
        interrupts.check()
        time.sleep(LOOK_AGAIN)


def _is_at(file: IO[str], path: Path) -> bool:
    """Tell whether an open file is still at a path: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


KINDS = {"flock": fcntl.flock, "lockf": fcntl.lockf}
"""The kinds of locks that runs need."""


@contextmanager
def witnessed(folder: Path) -> Iterator[None]:
    """Hold a lock of each kind, so that other machines can check that they see it.

    Raises:
        PartialRun: another process holds one for the same folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for kind, lock in KINDS.items():
            file = stack.enter_context((folder / kind).open("a+"))
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise PartialRun(
                    f"Another driver has its actors write to {folder.parent.parent}.",
                    why="It holds a lock there.",
                    fix="Wait for it, or stop it.",
                ) from error
        yield


def check_witness(folder: Path) -> None:
    """Check that this process sees the locks of `witnessed` on another machine.

    Raises:
        InputError: it does not see the folder or the locks.
    """
    where = f"{folder.parent.parent} on {socket.gethostname()}"
    for kind, lock in KINDS.items():
        try:
            with (folder / kind).open("a+" if folder.is_dir() else "r") as file:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            continue
        except FileNotFoundError as error:
            raise InputError(
                f"{where} is not the directory that the run was started for.",
                why="A file that the driver just wrote there is missing here.",
                fix="Give a directory on a file system that all machines share, at the same path.",
            ) from error
        raise InputError(
            f"{where}: this machine does not see a lock held on another ({kind}).",
            why="Two machines would do the same task, and write the same file.",
            fix="Mount the file system with locks (NFS 4, or Lustre with flock).",
        )
