"""The command line on a terminal, in a process of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping


def on_a_terminal(
    *arguments: object, columns: int, environment: Mapping[str, str], piped: bool = False
) -> tuple[str, str]:
    """Return what the command line writes to a pipe as stdout, and to the terminal.

    Args:
        arguments: of the command line.
        columns: of the terminal.
        environment: the whole of it.
        piped: whether stdout is a pipe; stderr is always the terminal.
    """
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "hnmine", *map(str, arguments)],
        stdin=None if piped else terminal,
        stdout=subprocess.PIPE if piped else terminal,
        stderr=terminal,
        env=environment,
    )
    os.close(terminal)
    said = b""
    try:
        while piece := os.read(reader, 4096):
            said += piece
    except OSError:
        pass  # Linux says so where the other end is closed.
    out = process.stdout.read() if process.stdout else b""
    assert process.wait() == 0, said
    return out.decode(), said.decode()
