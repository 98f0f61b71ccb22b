"""The interface of a judge, and the cache of its scores beside the candidates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from glob import escape
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.encode.address import is_served, short_name
from hnmine.encode.declared import as_before
from hnmine.encode.gate import note_for_server
from hnmine.encode.limits import own_limit
from hnmine.encode.locate import find_model
from hnmine.encode.roles import Use
from hnmine.encode.spec import ModelSpec
from hnmine.errors import PartialRun, damage_explained
from hnmine.results import library_versions
from hnmine.runner.incidents import note
from hnmine.runner.manifest import MANIFEST, damage, planned, read_json
from hnmine.runner.plan import digest
from hnmine.runner.run_directory import Counts
from hnmine.runner.task_share import Share
from hnmine.schema import VERSION


class Judge(Protocol):
    """Scores every candidate: the higher, the more relevant."""

    column: str
    """Name of the column with its scores."""

    def plan(self) -> dict[str, Any]:
        """Return what the scores depend on."""
        ...

    def compute(self, *, progress: bool, share: Share) -> Counts:
        """Compute and cache the scores that are missing."""
        ...

    def read(self, part: int) -> NDArray[np.float32] | pa.Array:
        """Return the scores of one part of the candidates, row by row.

        NaN stands for a missing score; null, in an Arrow array, for one that was not computed.
        """
        ...


def name_of(model: str) -> str:
    """Return the last part of a model's name."""
    if is_served(model):
        return short_name(model)
    return Path(model.rstrip("/")).name or "model"


def place_of(candidates: Candidates, spec: ModelSpec, use: Use) -> Path:
    """Return the folder of a model's scores, whose name ends with a hash of what they depend on.

    It begins with the name that the model was first given; other names of the model share it. Early
    versions did not hash the use of the model, which their plan tells.
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
    """Return the use of the model whose scores a folder holds; None if its plan is missing."""
    plan = planned(folder)
    if not plan:
        return None
    return "cross-encoder" if "activation" in plan else "encoder"


def as_kept(
    candidates: Candidates, spec: ModelSpec, use: Use, left_open: Collection[str]
) -> ModelSpec:
    """Return the spec of cached scores whose model settings are compatible, else the given one.

    Scores made on a GPU are thus reused on a machine without one. If cached scores differ in more
    than the open settings, a note says so before the model runs again.

    Args:
        candidates: that are scored.
        spec: the model.
        use: of the model.
        left_open: names of the settings that the user did not give.
    """
    wanted = _nameless(spec)
    # A length limit that is not given is the model's own, not that of another run.
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
        # Early versions recorded a limit only if the user gave one.
        how = {**made, "max_length": made["max_length"] or own}
        if fixed.items() <= how.items():
            with damage_explained(manifest):
                kept[ModelSpec(model=spec.model, **made)] = manifest.parent
        other |= {f"{name} {how[name]}" for name in fixed if how[name] != fixed[name]}
    if spec in kept:
        return spec
    # Damaged scores cannot be completed with another spec.
    for found, folder in kept.items():
        if not damage(folder):
            return found
    if other and not place_of(candidates, spec, use).exists():
        note(
            f"{spec.model} scores these candidates again: the cached scores were made with "
            f"{', '.join(sorted(other))}. Pass the same flags to reuse them."
        )
    return spec


def spec_for(candidates: Candidates, model: str, settings: FilterSettings, use: Use) -> ModelSpec:
    """Return how a model judges: as the settings say, or as finished scores were made."""
    runs = settings.model_use
    pooling = settings.pooling if use == "encoder" else None
    if is_served(model):  # The settings may be those of another judge, or of the encoder.
        if settings.share.index == 0:
            note_for_server(model, settings.max_length, pooling)
        runs["max_length"] = pooling = None
    try:
        spec = ModelSpec.find(model, use=use, pooling=pooling, **runs)
    except PartialRun:
        if found := _of_silent_server(candidates, model, use):
            note(f"{model} does not answer; its cached scores of these candidates are used.")
            return found
        raise
    if spec.backend == "server":
        return _as_answered(candidates, spec, use)
    left_open = {name for name, value in runs.items() if value in ("auto", None)}
    return as_kept(candidates, spec, use, left_open)


def _as_answered(candidates: Candidates, spec: ModelSpec, use: Use) -> ModelSpec:
    """Return a served model as its cached scores record it, if it is the same one."""
    for folder in sorted(candidates.paths.scores.glob("*")):
        made = planned(folder).get("model")
        if isinstance(made, dict) and _use_in(folder) == use:
            found = as_before(spec, made)
            if found is not spec and _nameless(found) == made:
                return found
    return spec


def _of_silent_server(candidates: Candidates, model: str, use: Use) -> ModelSpec | None:
    """Return the model of the only finished scores under a served model's name, else None."""
    finished = []
    for manifest in candidates.paths.scores.glob(f"{escape(short_name(model))}-*/{MANIFEST}"):
        made = (read_json(manifest) or {}).get("model")
        if not isinstance(made, dict) or made.get("backend") != "server":
            continue
        if _use_in(manifest.parent) == use and not damage(manifest.parent):
            with damage_explained(manifest):
                finished.append(ModelSpec(model=model, **made))
    return finished[0] if len(finished) == 1 else None


def scores_plan(
    candidates: Candidates, spec: ModelSpec, uses: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """Return the plan of a directory of scores.

    Args:
        candidates: what is scored.
        spec: the model.
        uses: further libraries that the scores depend on; see `LIBRARIES`.
        more: what else they depend on.
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
    """Return what scores depend on; the path or name of the model is not part of it."""
    return spec.model_dump(exclude={"model"})
