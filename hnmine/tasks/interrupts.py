"""Ctrl-C that cannot get lost.

Python raises KeyboardInterrupt wherever it happens to be; inside a finaliser or a library's
callback it is printed and forgotten. So the signal is remembered too, and asked for between steps.
While compiled code runs, Python looks at no signal, so a thread waits for the second one.
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
"""How far the step was that was interrupted, for the last message."""
_left: list[threading.Thread] = []
_stopping = threading.RLock()


def listen() -> None:
    """Remember from now on that the process was interrupted; main thread only."""
    signal.signal(signal.SIGINT, _remember)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # A signal to the group reaches a forked process too, and must not count twice.
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def _watch(signals: int) -> None:
    """Stop the process at the second SIGINT; the first is left to Python's own handler."""
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
        os.write(2, b"error: Interrupted again, and stopped at once. What was finished is kept.\n")
        os._exit(Exit.INTERRUPTED)


def check() -> None:
    """Raise KeyboardInterrupt if the process was interrupted before."""
    if _seen:
        raise KeyboardInterrupt


@contextmanager
def saying(how_far: Callable[[], str]) -> Iterator[None]:
    """Let the last message say how far a step was, if it is interrupted."""
    global kept
    try:
        yield
    except KeyboardInterrupt:
        kept = how_far()
        raise


def leave_behind(thread: threading.Thread) -> None:
    """Remember a thread that could not be stopped."""
    _left.append(thread)


def end(code: object) -> None:
    """End the process if a thread is left behind, for which Python would wait."""
    if any(thread.is_alive() for thread in _left):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else bool(code))
