"""Where candidates come from: one file, and one line here, for each source."""

from __future__ import annotations

from collections.abc import Callable

from hnmine.config import MineSettings
from hnmine.index.opened import Index
from hnmine.sources.base import Source
from hnmine.sources.bm25 import open_bm25
from hnmine.sources.dense import open_dense

SOURCES: dict[str, Callable[[Index, MineSettings, int], Source]] = {
    "bm25": open_bm25,
    "dense": open_dense,
}
"""Each opens an index for given settings and a number of threads."""
