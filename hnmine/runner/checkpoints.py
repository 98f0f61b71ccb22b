"""Checkpoints of a task: a kill loses only the batches that are being computed.

Each result is appended to a file with a checksum and a key of all that it depends on. The restarted
task reads them, and computes the rest in the same batches.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock
from typing import TypeVar

import xxhash

Item = TypeVar("Item")
Result = TypeVar("Result")

_HEAD = struct.Struct("<16sIQ")
"""Before a result: its key, how many items of the task it covers, its bytes."""

_CHECK = 8
"""Bytes of the checksum after a result."""


class Partial:
    """The stored results of an unfinished task.

    Attributes:
        items: how many items of the task they cover.
    """

    def __init__(self, path: Path, plan: str) -> None:
        """Read the results up to the first damaged one."""
        self._path, self._mark = path, f"hnmine {plan}\n".encode()
        self._lock, self._file, self._closed = Lock(), -1, False
        self.items = 0
        self._results: dict[bytes, bytes] = {}
        self._whole = self._read()

    def _read(self) -> int:
        """Read the results; return the bytes up to the last whole one."""
        if not self._is_own:
            return 0
        content = memoryview(self._path.read_bytes())
        if content[: len(self._mark)] != self._mark:
            return 0
        at = len(self._mark)
        while at + _HEAD.size <= len(content):
            key, items, length = _HEAD.unpack_from(content, at)
            end = at + _HEAD.size + length
            check = content[end : end + _CHECK]
            if check != xxhash.xxh3_64_digest(content[at:end]):
                break
            self._results[key] = bytes(content[at + _HEAD.size : end])
            self.items += items
            at = end + _CHECK
        return at

    def get(self, key: bytes) -> bytes | None:
        """Return a stored result; None if it must be computed."""
        return self._results.get(key)

    def keep(self, key: bytes, result: bytes, items: int) -> None:
        """Append a result; safe from any thread."""
        record = _HEAD.pack(key, items, len(result)) + result
        with self._lock:
            if self._closed:
                return
            if self._file < 0:
                self._open()
            _write(self._file, record + xxhash.xxh3_64_digest(record))
            self.items += items

    def _open(self) -> None:
        folder = self._path.parent
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        folder.mkdir(exist_ok=True)
        if not self._is_own:
            self._path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self._file = os.open(self._path, flags, 0o666)
        os.ftruncate(self._file, self._whole)
        if not self._whole:
            _write(self._file, self._mark)

    def __enter__(self) -> Partial:
        """Make it current for `computed`."""
        self._token = _current.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file and keep it."""
        _current.reset(self._token)
        with self._lock:
            self._closed = True
            if self._file >= 0:
                os.close(self._file)

    def remove(self) -> None:
        """Delete the results once the task is done."""
        self.items = 0
        self._results.clear()
        if self._is_own:
            self._path.unlink()

    @property
    def _is_own(self) -> bool:
        """Whether file and folder exist, and neither is a link."""
        try:
            kinds = [stat.S_IFMT(path.lstat().st_mode) for path in (self._path.parent, self._path)]
        except (FileNotFoundError, NotADirectoryError):
            return False
        return kinds == [stat.S_IFDIR, stat.S_IFREG]


def relabel(folder: Path, before: str, after: str) -> None:
    """Assign the results of one plan to another, by the hashes of both."""
    old, new = (f"hnmine {plan}\n".encode() for plan in (before, after))
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("r+b") as file:
            if file.read(len(old)) == old:
                file.seek(0)
                file.write(new)


_current: ContextVar[Partial | None] = ContextVar("partial", default=None)


@contextmanager
def no_checkpoint() -> Iterator[None]:
    """Let `computed` neither store nor reuse results: they are none of the running task."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def key_of(texts: Iterable[str]) -> bytes:
    """Return a key of texts, which depends on their order and boundaries."""
    total = xxhash.xxh3_128()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.digest()


def computed(
    pool: Executor,
    work: Callable[[Item], bytes],
    items: Sequence[Item],
    key: Callable[[Item], bytes],
    size: Callable[[Item], int],
    tick: Callable[[int], object],
    stop: Callable[[], object] = lambda: None,
) -> list[bytes]:
    """Return the result of each item; results that the running task has stored are reused.

    Args:
        pool: of threads that do the work.
        work: computes a result.
        items: such as batches.
        key: of all that a result depends on.
        size: of an item, in the unit of the task.
        tick: called with the size of each item.
        stop: see `on_threads`.
    """
    kept = _current.get()
    if kept is None:
        return on_threads(pool, work, items, lambda item: tick(size(item)), stop)
    task, keys = kept, [key(item) for item in items]
    looked_up = {at: task.get(one) for at, one in enumerate(keys)}
    found = {at: result for at, result in looked_up.items() if result is not None}

    def keeping(at: int) -> bytes:
        result = work(items[at])
        task.keep(keys[at], result, size(items[at]))
        return result

    for at in found:
        tick(size(items[at]))
    missing = [at for at in range(len(items)) if at not in found]
    computed_now = on_threads(pool, keeping, missing, lambda at: tick(size(items[at])), stop)
    found.update(zip(missing, computed_now, strict=True))
    return [found[at] for at in range(len(items))]


def on_threads(
    pool: Executor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    done: Callable[[Item], object] = lambda item: None,
    stop: Callable[[], object] = lambda: None,
) -> list[Result]:
    """Apply `work` to each item on threads, and return the results in order.

    After an error or Ctrl-C it starts no more items, and waits for those that run.

    Args:
        pool: of threads.
        work: applied to each item.
        items: its arguments.
        done: called after each item, in order.
        stop: called after an error, before waiting.
    """
    given, results = list(items), []
    begun: list[Future[Result]] = []
    try:
        for item in given:
            # One by one: Ctrl-C must leave those begun in this list.
            begun.append(pool.submit(work, item))  # noqa: PERF401
        for item, future in zip(given, begun, strict=True):
            results.append(future.result())
            done(item)
    except BaseException:
        stop()
        raise
    finally:
        # The process cannot end before its executor has done all of its items.
        wait([future for future in begun if not future.cancel()])
    return results
