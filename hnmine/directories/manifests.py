"""Manifests of finished directories: typed, and checked once when a directory is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    InstanceOf,
    NonNegativeInt,
    PrivateAttr,
    TypeAdapter,
    field_validator,
)
from typing_extensions import Self

from hnmine.config import (
    BuildIndexSettings,
    ExportSettings,
    FilterSettings,
    MineSettings,
    Settings,
)
from hnmine.directories.manifest_files import read_manifest
from hnmine.encode.spec import ModelSpec
from hnmine.errors import damage_explained
from hnmine.names import DEFAULT_SOURCES, column_of
from hnmine.results import Json
from hnmine.runner.manifest import MANIFEST


class Manifest(BaseModel):
    """A manifest whose values are checked; keys of newer versions are kept in `recorded` alone.

    Attributes:
        stage: what the directory holds.
        command: the command that writes it.
        needed_settings: settings that every version of hnmine recorded.
        needed_counts: counts that every version recorded.
        settings: the recorded settings, and today's defaults for those that are not recorded. Paths
            are never recorded: one in a manifest is ignored.
    """

    model_config = ConfigDict(strict=True)

    stage: ClassVar[str]
    command: ClassVar[str]
    needed_settings: ClassVar[Collection[str]] = ()
    needed_counts: ClassVar[Collection[str]] = ()

    schema_version: int
    libraries: dict[str, str]
    settings: InstanceOf[Settings]
    counts: dict[str, NonNegativeInt]
    _recorded: Json = PrivateAttr()

    @classmethod
    def read(cls, path: Path, command: str = "") -> Self:
        """Return the manifest of a finished directory.

        Args:
            path: the directory.
            command: the command that writes it, where that is not `cls.command`.

        Raises:
            InputError: the directory is missing, unfinished, of another stage, or damaged.
        """
        recorded = read_manifest(path, cls.stage, command or cls.command)
        with damage_explained(path / MANIFEST):
            manifest = cls.model_validate(recorded)
        manifest._recorded = recorded
        return manifest

    @property
    def recorded(self) -> Json:
        """The manifest as it was read."""
        return self._recorded

    @property
    def recorded_settings(self) -> Json:
        """The settings as JSON values."""
        settings: Json = self._recorded["settings"]
        return settings

    @field_validator("settings", mode="before")
    @classmethod
    def _typed_settings(cls, recorded: object) -> Settings:
        found = TypeAdapter(Json).validate_python(recorded)
        _check_there("settings", found, cls.needed_settings)
        kind = cls.model_fields["settings"].annotation
        assert isinstance(kind, type) and issubclass(kind, Settings)
        names = found.keys() & (kind.model_fields.keys() - set(kind.places()))
        values = {}
        for name in names:
            field = kind.model_fields[name]
            allowed: Any = Annotated[field.annotation, field]
            values[name] = TypeAdapter(allowed).validate_python(found[name])
        return kind.model_construct(**values)

    @field_validator("counts")
    @classmethod
    def _complete_counts(cls, counts: dict[str, int]) -> dict[str, int]:
        _check_there("counts", counts, cls.needed_counts)
        return counts


class IndexManifest(Manifest):
    """What `hnmine build-index` records."""

    stage, command = "index", "build-index"
    needed_settings = (
        *("bm25", "dense", "shard_size", "faiss"),
        *("tokenizer", "stemmer", "bm25_variant", "k1", "b"),
    )

    settings: InstanceOf[BuildIndexSettings]
    inputs: Json
    encoder: ModelSpec | None


class CandidatesManifest(Manifest):
    """What `hnmine mine` records.

    Attributes:
        index: hash of the index's manifest.
        sources: by source: candidates for each query.
        scores: the sources that scored every candidate.
        runs: by column: hash of a --from-run.
        previous: hash of the manifest of --previous.
    """

    stage, command = "candidates", "mine"
    needed_settings = ("block_size", "top_k")

    settings: InstanceOf[MineSettings]
    index: str
    inputs: Json
    sources: dict[str, NonNegativeInt]
    scores: list[str]
    runs: Json
    previous: str | None


class MinedManifest(Manifest):
    """What `hnmine filter` records.

    Attributes:
        candidates: hash of the candidates' manifest.
        judges: by column: the plan of each judge.
    """

    stage, command = "mined", "filter"
    needed_settings = ("format", "num_negatives", "score", "judge", "relabel", "lazy")
    needed_counts = (
        *("positives", "candidates", "kept", "negatives", "negatives_missing"),
        *("negatives_asked", "queries", "queries_short", "train_rows"),
    )

    settings: InstanceOf[FilterSettings]
    candidates: str
    judges: dict[str, Json]


class ExportManifest(Manifest):
    """What `hnmine export` records."""

    stage, command = "export", "export"
    needed_settings = ("to",)

    settings: InstanceOf[ExportSettings]


def sources_of(recorded: Json) -> list[str]:
    """Return the sources of candidates, by the beginning of their columns' names.

    Args:
        recorded: manifest of a candidates or a mined directory. Early versions do not list the
            sources: the settings of `mine` name them.
    """
    listed = recorded.get("sources")
    if not isinstance(listed, Mapping | list):
        settings = recorded.get("settings", {})
        asked = [item.partition(":")[0] for item in settings.get("source") or ()]
        listed = asked or recorded.get("scores") or DEFAULT_SOURCES
        listed = ["matching"] * bool(settings.get("matching")) + [*listed]
        listed = [*(name for name in listed if name != "run"), *recorded.get("runs", {})]
    return list(dict.fromkeys(column_of(str(name)) for name in listed))


def _check_there(what: str, found: Collection[str], needed: Collection[str]) -> None:
    if missing := [name for name in needed if name not in found]:
        raise ValueError(f"Its {what} lack {missing[0]!r}.")
