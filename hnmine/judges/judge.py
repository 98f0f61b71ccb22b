"""What a judge of candidates is, and where its scores are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.directories.candidates import Candidates
from hnmine.encode.limits import own_limit
from hnmine.encode.locate import find_model
from hnmine.encode.roles import Use
from hnmine.encode.spec import ModelSpec
from hnmine.errors import damage_explained
from hnmine.results import library_versions
from hnmine.runner.incidents import note
from hnmine.runner.manifest import MANIFEST, PLAN, damage, read_json
from hnmine.runner.plan import digest
from hnmine.runner.run_directory import Counts
from hnmine.runner.task_share import Share
from hnmine.schema import VERSION


class Judge(Protocol):
    """Gives every candidate a score: the higher, the more relevant."""

    column: str
    """Name of the column that its scores become."""

    def plan(self) -> dict[str, Any]:
        """Return what the scores depend on."""
        ...

    def compute(self, *, progress: bool, share: Share) -> Counts:
        """Compute what is not there yet, and keep it."""
        ...

    def read(self, part: int) -> NDArray[np.float32] | pa.Array:
        """Return the scores of one part of the candidates, row by row; NaN where there is none.

        An Arrow array has null where a score was not computed.
        """
        ...


def name_of(model: str) -> str:
    """Return the last part of a model's name."""
    return Path(model.rstrip("/")).name or "model"


def place_of(candidates: Candidates, spec: ModelSpec, use: Use) -> Path:
    """Return where a model's scores are kept: beside the candidates, by all that they depend on.

    The name that a model was first given stands there for people; another finds the same scores.
    Earlier versions left out what the model was used as: their plan tells.
    """
    key = digest(_nameless(spec))[:12]
    known = [folder for folder in _named_by(candidates, key) if _use_in(folder) == use]
    if not known:
        key = digest(_nameless(spec) | {"use": use})[:12]
        known = _named_by(candidates, key)
    name = known[0].name.partition(f"-{key}")[0] if known else name_of(spec.model)
    return candidates.paths.scores / f"{name}-{key}"


def _named_by(candidates: Candidates, key: str) -> list[Path]:
    return sorted(candidates.paths.scores.glob(f"*-{key}*"))


def _use_in(folder: Path) -> Use | None:
    """Return what the model was used as whose scores a folder holds; None if it does not say."""
    plan = read_json(folder / MANIFEST) or read_json(folder / PLAN)
    if not plan:
        return None
    return "cross-encoder" if "activation" in plan else "encoder"


def as_kept(
    candidates: Candidates, spec: ModelSpec, use: Use, left_open: Collection[str]
) -> ModelSpec:
    """Return how finished scores were made, if they differ only in what the settings leave open.

    So scores that a GPU made are found on a machine without one. If they differ in more, that is
    said before the model is paid for again.
    """
    wanted = _nameless(spec)
    # A limit that is left open is the model's own, whatever another run asked for.
    open_ones = {*left_open} - {"max_length"}
    fixed = {name: value for name, value in wanted.items() if name not in open_ones}
    own = own_limit(find_model(spec.model))
    kept: dict[ModelSpec, Path] = {}
    other: set[str] = set()
    for manifest in sorted(candidates.paths.scores.glob(f"*/{MANIFEST}")):
        made = (read_json(manifest) or {}).get("model")
        if not isinstance(made, dict) or made.keys() != wanted.keys():
            continue
        if made["content"] != spec.content or _use_in(manifest.parent) != use:
            continue
        # Earlier versions recorded a limit only where the user gave one.
        how = {**made, "max_length": made["max_length"] or own}
        if fixed.items() <= how.items():
            with damage_explained(manifest):
                kept[ModelSpec(model=spec.model, **made)] = manifest.parent
        other |= {f"{name} {how[name]}" for name in fixed if how[name] != fixed[name]}
    if spec in kept:
        return spec
    # What is missing of damaged ones, only what made them could make anew.
    for found, folder in kept.items():
        if not damage(folder):
            return found
    if other and not place_of(candidates, spec, use).exists():
        note(
            f"{spec.model} scores these candidates anew: what it scored before was with "
            f"{', '.join(sorted(other))}. With the same flags that is used again."
        )
    return spec


def scores_plan(
    candidates: Candidates, spec: ModelSpec, uses: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """Return the plan of a directory of scores.

    Args:
        candidates: what is scored.
        spec: the model.
        uses: what is done besides with libraries; see `LIBRARIES`.
        more: what else the scores depend on.
    """
    return {
        "schema_version": VERSION,
        "stage": "scores",
        "candidates": candidates.hash,
        "model": _nameless(spec),
        "libraries": library_versions([spec.backend, *uses]),
        **more,
    }


def _nameless(spec: ModelSpec) -> dict[str, Any]:
    """Return what scores depend on: not by which path somebody gave the model."""
    return spec.model_dump(exclude={"model"})
