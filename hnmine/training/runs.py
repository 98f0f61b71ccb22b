"""One student: trained and measured once, then read from its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hnmine.runner.atomic import write_text
from hnmine.runner.plan import Json
from hnmine.training.retrieval_measures import MEASURES, NDCG, Values

LARGEST = 1 << 28
"""Bytes of a file: one of a million queries is smaller."""


@dataclass(frozen=True)
class Run:
    """What one student reached.

    Attributes:
        measures: each measure for each held-out query.
        about: what was trained, and how long it took.
    """

    measures: Mapping[str, Values]
    about: Json


def known(path: Path, setting: Json, queries: int | None = None) -> Run | None:
    """Return what a student of this setting reached before; None if it must be trained.

    Args:
        path: of the file, which may come from someone else.
        setting: all that the result depends on.
        queries: number of values of each measure; None for any.
    """
    try:
        if path.stat().st_size > LARGEST:
            return None
        found = json.loads(path.read_text("utf-8"))
        if found["setting"] != json.loads(json.dumps(setting)):
            return None
        run = Run(
            {name: np.array(found["measures"][name], float) for name in MEASURES}, found["about"]
        )
    except (FileNotFoundError, IsADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None  # It is damaged: train again.
    size = len(run.measures[NDCG]) if queries is None and run.measures[NDCG].ndim else queries
    values = run.measures.values()
    whole = all(one.shape == (size,) and ((one >= 0) & (one <= 1)).all() for one in values)
    return run if whole and isinstance(run.about, dict) else None


def once(path: Path, setting: Json, make: Callable[[], Run], queries: int | None = None) -> Run:
    """Return what a student reached, from its file or by training it.

    Args:
        path: of the file; a student of another setting is replaced.
        setting: all that the result depends on.
        make: trains and measures the student.
        queries: as in `known`.
    """
    if run := known(path, setting, queries):
        return run
    run = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    measures = {name: values.tolist() for name, values in run.measures.items()}
    write_text(path, json.dumps({"setting": setting, "about": run.about, "measures": measures}))
    return run
