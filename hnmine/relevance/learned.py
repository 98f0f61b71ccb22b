"""What `filter` learned about the candidates, read from the file that it is kept in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, FiniteFloat

from hnmine.errors import damage_explained
from hnmine.relevance.depth_trial import explained
from hnmine.relevance.model import Relevance


class _Point(BaseModel):
    """A point of the curve."""

    rate: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    value: float
    positives: int
    candidates_left: FiniteFloat
    mean_rank: FiniteFloat
    yield_: FiniteFloat

    model_config = {"alias_generator": lambda name: name.rstrip("_")}


class _Learned(BaseModel):
    place: str
    price_of_depth: float
    where: list[str] = []
    cut_rule: str = "true"
    curve: list[_Point] = []


def read_learned(path: Path) -> dict[str, Any]:
    """Return what was learned; nothing if nothing was.

    Raises:
        InputError: the file is not there, or is damaged.
    """
    with damage_explained(path):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found:
            _Learned.model_validate(found)
            Relevance.from_json(found)
            explained(found)
        return found
