"""Ctrl-C that cannot get lost.

Python raises KeyboardInterrupt wherever it happens to be; inside a finaliser or a library's
callback it is printed and forgotten. So the signal is remembered too, and asked for between steps.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from hnmine.errors import Exit

_seen = False


def listen() -> None:
    """Remember from now on that the process was interrupted; main thread only."""
    signal.signal(signal.SIGINT, _remember)


def _remember(number: int, frame: FrameType | None) -> None:
    global _seen
    if _seen:
        # Whoever asks twice does not want to wait for threads that finish what they are at.
        os.write(2, b"error: Interrupted again, and stopped at once. What was finished is kept.\n")
        os._exit(Exit.INTERRUPTED)
    _seen = True
    raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt if the process was interrupted before."""
    if _seen:
        raise KeyboardInterrupt
