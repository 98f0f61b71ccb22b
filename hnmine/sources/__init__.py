"""Where candidates come from: a function that opens each source, and one line here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hnmine.sources.bm25 import open_bm25, open_bm25_from_positive
from hnmine.sources.dense import open_dense, open_dense_from_positive, open_dense_from_queries
from hnmine.sources.judged import open_judged
from hnmine.sources.random import open_matching, open_random
from hnmine.sources.run_file import open_run
from hnmine.sources.source import Mining, Source

SOURCES: dict[str, Callable[[Mining], Source]] = {
    "bm25": open_bm25,
    "dense": open_dense,
    "bm25-from-positive": open_bm25_from_positive,
    "dense-from-positive": open_dense_from_positive,
    "dense-from-queries": open_dense_from_queries,
    "random": open_random,
    "matching": open_matching,
    "judged": open_judged,
}
"""By the name that --source has for it."""


def open_source(name: str, mining: Mining) -> Source:
    """Open one source; what is not among `SOURCES` is a run."""
    return SOURCES.get(name, partial(open_run, name))(mining)
