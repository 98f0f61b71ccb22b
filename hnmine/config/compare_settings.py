"""Settings of `hnmine compare`."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator, model_validator

from hnmine.config.setting import path, setting
from hnmine.config.shared import CommonSettings, device
from hnmine.runner.urls import mirrored

MOST_DIRECTORIES = 26
"""Each has a letter in the table."""


class CompareSettings(CommonSettings):
    """Settings of `hnmine compare`."""

    command = "compare"

    mined: list[Path] = path(
        "Mined directories to compare: two or more, or one with --train.", common=True
    )
    queries: int = setting(
        "Output",
        "Maximum number of queries to name, those that changed most between two directories.",
        10,
        common=True,
        ge=0,
    )
    output: Path | None = path(
        "Folder for the page compare.html, for compare.json, and for what --train measured. "
        "[default: nothing is written]",
        None,
        group="Output",
        common=True,
    )
    train: str | None = setting(
        "Models",
        "Bi-encoder to train on each directory, which shows the one that retrieves best: a hub "
        "name or a folder.",
        None,
        value="MODEL",
        common=True,
    )
    held_out: Path | None = path(
        "Folder in BEIR's layout, with queries and qrels that no directory was mined with, to "
        "measure the trained models on.",
        None,
        common=True,
    )
    seeds: int = setting(
        "Models", "Number of times that --train trains on each directory.", 3, common=True, ge=1
    )
    steps: int | None = setting(
        "Models",
        "Training steps, the same for each directory. [default: one epoch of the smallest]",
        None,
        common=True,
        ge=1,
    )
    device: str = device()

    @field_validator("mined")
    @classmethod
    def _several(cls, value: list[Path]) -> list[Path]:
        if not value:
            raise ValueError("Missing the directories to compare.")
        if len(value) > MOST_DIRECTORIES:
            raise ValueError(f"give at most {MOST_DIRECTORIES} directories, not {len(value)}")
        found: set[Path] = set()
        for directory in value:
            place = directory.resolve()
            if place in found:
                raise ValueError(f"{directory} comes twice")
            found.add(place)
        return value

    @field_validator("output")
    @classmethod
    def _a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix.lower() in (".html", ".json"):
            raise ValueError(f"{value} looks like a file; give a folder")
        if value is not None and (url := mirrored(value)):
            raise ValueError(f"{url} is a URL; give a folder of this machine")
        return value

    @model_validator(mode="after")
    def _check_training(self) -> CompareSettings:
        if len(self.mined) < 2 and not self.train:
            raise ValueError(
                "Missing a directory to compare with: give two or more, or --train MODEL to "
                "compare one with the untrained model."
            )
        if self.train and not self.output:
            raise ValueError("Missing option --output: --train keeps there what it measured.")
        if not self.train and (self.held_out or self.steps):
            raise ValueError("Missing option --train: --held-out and --steps belong to it.")
        return self
