"""One student: trained and measured once, then read from its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hnmine.runner.atomic import write_text
from hnmine.runner.plan import Json
from hnmine.training.retrieval_measures import Values


@dataclass(frozen=True)
class Run:
    """What one student reached.

    Attributes:
        measures: each measure for each held-out query.
        about: what was trained, and how long it took.
    """

    measures: Mapping[str, Values]
    about: Json


def known(path: Path, setting: Json) -> Run | None:
    """Return what a student of this setting reached before; None if it must be trained."""
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["setting"] != json.loads(json.dumps(setting)):
            return None
        measures = {name: np.array(values, float) for name, values in found["measures"].items()}
        return Run(measures, found["about"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None  # It is missing, or damaged: train again.


def once(path: Path, setting: Json, make: Callable[[], Run]) -> Run:
    """Return what a student reached, from its file or by training it.

    Args:
        path: of the file; a student of another setting is replaced.
        setting: all that the result depends on.
        make: trains and measures the student.
    """
    if run := known(path, setting):
        return run
    run = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    measures = {name: values.tolist() for name, values in run.measures.items()}
    write_text(path, json.dumps({"setting": setting, "about": run.about, "measures": measures}))
    return run
