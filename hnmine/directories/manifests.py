"""Manifests out of a directory that somebody may have sent: what readers rely on is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, NonNegativeInt, TypeAdapter

from hnmine.config import BuildIndexSettings, FilterSettings, MineSettings
from hnmine.errors import damage_explained
from hnmine.runner.manifest import read_manifest
from hnmine.runner.recorded_outputs import MANIFEST


class _Manifest(BaseModel):
    """What every reader of a stage's directory may rely on.

    Attributes:
        kind: the settings' model.
        asked: settings that must be there; an earlier hnmine may not have known others.
        counted: counts that must be there.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    kind: ClassVar[Any]
    asked: ClassVar[Sequence[str]]
    counted: ClassVar[Sequence[str]] = ()

    schema_version: int
    libraries: dict[str, str]
    settings: dict[str, Any]
    counts: dict[str, NonNegativeInt]


class _Index(_Manifest):
    kind = BuildIndexSettings
    asked = (
        *("bm25", "dense", "shard_size", "faiss"),
        *("tokenizer", "stemmer", "bm25_variant", "k1", "b"),
    )

    inputs: dict[str, Any]
    encoder: dict[str, Any] | None


class _Candidates(_Manifest):
    kind, asked = MineSettings, ("block_size", "top_k")

    index: str
    inputs: dict[str, Any]
    sources: dict[str, NonNegativeInt]
    scores: list[str]
    runs: dict[str, Any]
    previous: str | None


class _Mined(_Manifest):
    kind = FilterSettings
    asked = ("format", "num_negatives", "score", "judge", "relabel", "lazy")
    counted = (
        *("positives", "candidates", "kept", "negatives", "negatives_missing"),
        *("negatives_asked", "queries", "queries_short", "train_rows"),
    )

    candidates: str
    judges: dict[str, dict[str, Any]]


STAGES: dict[str, tuple[str, type[_Manifest]]] = {
    "index": ("build-index", _Index),
    "candidates": ("mine", _Candidates),
    "mined": ("filter", _Mined),
}
"""By stage: the command that writes it, and its manifest."""


def known_manifest(path: Path, stage: str) -> dict[str, Any]:
    """Read the manifest of a finished directory.

    Args:
        path: a directory that hnmine wrote.
        stage: `index`, `candidates` or `mined`.

    Raises:
        InputError: the directory is not there, not finished, of another stage, or damaged.
    """
    command, shape = STAGES[stage]
    manifest = read_manifest(path, stage, command)
    with damage_explained(path / MANIFEST):
        known = shape.model_validate(manifest)
        _check_there("settings", known.settings, known.asked)
        _check_there("counts", known.counts, known.counted)
        for name in shape.kind.model_fields.keys() & known.settings.keys():
            field = shape.kind.model_fields[name]
            allowed: Any = Annotated[field.annotation, field]
            TypeAdapter(allowed).validate_python(known.settings[name])
    return manifest


def _check_there(what: str, found: Mapping[str, Any], needed: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in found]:
        raise ValueError(f"Its {what} lack {missing[0]!r}.")
