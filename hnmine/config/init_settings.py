"""Settings of `hnmine models` and `hnmine init`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from hnmine.config.output import OutputSettings
from hnmine.config.reading_options import InputSettings
from hnmine.config.shared import Settings, path


class ModelsSettings(Settings):
    """Settings of `hnmine models`."""

    command = "models"

    folder: list[Path] = Field(
        default_factory=list,
        description="A folder to look for models in, beside the hub's cache and installed "
        "packages. May be repeated.",
    )


class InitSettings(InputSettings, OutputSettings):
    """Settings of `hnmine init`."""

    command = "init"

    file: Path = path("File to write the settings to.", Path("hnmine.yaml"))
    output: Path = path("Directory that `hnmine run` will write to.", Path("runs/first"))
    encoder: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        description="Bi-encoder: a hub name, a folder, or pkg:package/folder, as `hnmine models` "
        "lists them.",
    )
    cross_encoder: str = Field(
        "cross-encoder/ms-marco-MiniLM-L6-v2", description="Cross-encoder, named likewise."
    )
