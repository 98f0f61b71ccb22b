"""Settings of `hnmine init`, `hnmine validate`, `hnmine recipes` and `hnmine skill`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from hnmine.config.reading_options import InputSettings, JudgedSettings
from hnmine.config.server_settings import ServerSettings
from hnmine.config.setting import MANY, path, seed, setting
from hnmine.config.shared import CommonSettings, ModelSettings, Settings

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L6-v2"


class InitSettings(InputSettings):
    """Settings of `hnmine init`."""

    command = "init"

    file: Path = path(
        "File to write the configuration to.", Path("hnmine.yaml"), group="Output", common=True
    )
    output: Path = path(
        "Directory that `hnmine run` will write to.",
        Path("runs/first"),
        group="Output",
        common=True,
    )
    overwrite: bool = setting(
        "Output", "Replace the configuration file if it exists.", False, common=True
    )
    encoder: str = setting(
        "Models",
        "Bi-encoder: a hub name, a folder, or pkg:package/folder.",
        ENCODER,
        value="MODEL",
        common=True,
    )
    cross_encoder: str = setting(
        "Models",
        "Cross-encoder: a hub name, a folder, or pkg:package/folder.",
        CROSS_ENCODER,
        value="MODEL",
        common=True,
    )


class ValidateSettings(JudgedSettings, ServerSettings, ModelSettings, CommonSettings):
    """Settings of `hnmine validate`."""

    command = "validate"

    models: bool = setting(
        "Models",
        "List the available models, devices and precisions instead; PATHs are folders to search.",
        False,
        common=True,
    )
    corpus: list[str] = path(
        "Corpus: a Parquet, JSONL or CSV file, directory or glob.", list, common=True
    )
    encoder: str | None = setting(
        "Models",
        "Bi-encoder to estimate truncation, index size and time for.",
        None,
        value="MODEL",
        common=True,
    )
    bm25: bool = setting("Models", "Estimate a run with a BM25 index.", True)
    vectors: str | None = path("Vectors of the documents to check, as for `build-index`.", None)
    query_vectors: str | None = path("Vectors of the queries to check, as for `mine`.", None)
    faiss: str = setting(
        "Models", "FAISS index-factory string to check for the number of documents.", "Flat"
    )
    cross_encoder: str | None = setting(
        "Models", "Cross-encoder to estimate the time of.", None, value="MODEL", common=True
    )
    num_negatives: int = setting(
        "Which are chosen", "Negatives per query, for the time of --lazy.", 5, ge=1, le=MANY
    )
    lazy: bool = setting("Which are chosen", "Estimate a run with --lazy.", False)
    calibrate: bool = setting(
        "Models", "Time the models on a few texts to estimate a run.", True, common=True
    )
    seed: int = seed("Random seed for the samples that are measured.")


class RecipesSettings(Settings):
    """Settings of `hnmine recipes`."""

    command = "recipes"

    action: Literal["list", "show"] = setting(
        "Inputs", "List all recipes, or show the file of one.", "list", common=True
    )
    name: str | None = setting("Inputs", "Recipe to show, such as bge.", None, common=True)

    @model_validator(mode="after")
    def _check_name(self) -> RecipesSettings:
        if (self.action == "show") != (self.name is not None):
            raise ValueError("name: give one with `show`, as in `hnmine recipes show bge`")
        return self


class SkillSettings(Settings):
    """Settings of `hnmine skill`."""

    command = "skill"

    folder: Path | None = path(
        "Folder of an agent's skills to write hnmine/SKILL.md into. [default: print it]",
        None,
        group="Output",
        common=True,
    )


class ModelsSettings(Settings):
    """Settings of `hnmine models`, an older name for `hnmine validate --models`."""

    command = "models"

    folder: list[Path] = setting(
        "Models",
        "Folder to search for models, besides the hub's cache and installed packages.",
        list,
        common=True,
    )
