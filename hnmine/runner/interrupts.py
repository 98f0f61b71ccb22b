"""Ctrl-C that cannot get lost.

Python raises KeyboardInterrupt wherever it happens to be; a finaliser or a library's callback
swallows it. So the handler also remembers the signal, and tasks check for it between steps. Python
runs no handler while compiled code runs, so a thread waits for the second signal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hnmine.errors import Exit

_seen = False
kept = ""
"""How far the interrupted step was, for the last message."""
_left: list[threading.Thread] = []
_stopping = threading.RLock()


def listen() -> None:
    """Handle Ctrl-C from now on; main thread only."""
    signal.signal(signal.SIGINT, _remember)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # A signal to the group reaches a forked process too, and must not count twice.
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def _watch(signals: int) -> None:
    """Stop the process at the second SIGINT; `_remember` handles the first."""
    interrupted = False
    while number := os.read(signals, 1):
        if number[0] == signal.SIGINT and signal.getsignal(signal.SIGINT) is _remember:
            if interrupted:
                _stop()
            interrupted = True


def _remember(number: int, frame: FrameType | None) -> None:
    global _seen
    if _seen:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # A third one changes nothing.
        _stop()
    _seen = True
    raise KeyboardInterrupt


def _stop() -> None:
    """End the process without waiting for threads to finish their batch."""
    with _stopping:  # The handler and the watching thread both come here: one writes, one waits.
        os.write(2, b"error: Interrupted again, and stopped at once. Finished work is kept.\n")
        os._exit(Exit.INTERRUPTED)


def seen() -> bool:
    """Return whether the process was interrupted."""
    return _seen


def check() -> None:
    """Raise KeyboardInterrupt if the process was interrupted earlier."""
    if _seen:
        raise KeyboardInterrupt


@contextmanager
def saying(how_far: Callable[[], str]) -> Iterator[None]:
    """Keep how far a step was for the last message, if Ctrl-C interrupts it."""
    global kept
    try:
        yield
    except KeyboardInterrupt:
        kept = how_far()
        raise


def leave_behind(thread: threading.Thread) -> None:
    """Remember a thread that cannot be stopped; `end` does not wait for it."""
    _left.append(thread)


def end(code: object) -> None:
    """End the process where Python would wait for a thread that was left behind."""
    if any(thread.is_alive() for thread in _left):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else bool(code))
