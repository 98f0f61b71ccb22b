"""Ctrl-C that cannot get lost.

Python raises KeyboardInterrupt wherever it happens to be; inside a finaliser or a library's
callback it is printed and forgotten. So the signal is remembered too, and asked for between steps.
"""

from __future__ import annotations

import signal
from types import FrameType

_seen = False


def listen() -> None:
    """Remember from now on that the process was interrupted; main thread only."""
    signal.signal(signal.SIGINT, _remember)


def _remember(number: int, frame: FrameType | None) -> None:
    global _seen
    _seen = True
    raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt if the process was interrupted before."""
    if _seen:
        raise KeyboardInterrupt
