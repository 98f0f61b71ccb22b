"""Arrays on disk."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


class _Python:
    """A file that NumPy takes for no file of the operating system's."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def save_array(target: Path | BinaryIO, values: NDArray[Any]) -> None:
    """Write an array as `.npy`, or fail.

    `np.save` hands a file over to C, where the last few kilobytes are lost without an error if the
    disk is full.
    """
    with target.open("wb") if isinstance(target, Path) else nullcontext(target) as file:
        np.save(_Python(file), values)
