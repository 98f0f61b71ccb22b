"""Files as streams of bytes."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading."""
    return path.open("rb")
