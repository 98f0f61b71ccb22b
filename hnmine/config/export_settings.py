"""Settings of `hnmine export` and `hnmine push`."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator

from hnmine.config.mined_settings import MinedSettings
from hnmine.config.output import OutputSettings
from hnmine.config.setting import path, setting
from hnmine.config.shared import CommonSettings
from hnmine.exports import EXPORTS


class ExportSettings(MinedSettings, OutputSettings):
    """Settings of `hnmine export`."""

    command = "export"

    to: str = setting("Output", "Format to write, one of those listed below.", common=True)
    output: Path = path("Directory for the exported files.", group="Output", common=True)
    scores: str | None = setting(
        "Output",
        "Scores to write: ce, dense, bm25, or an expression over the columns of scored/. "
        "[default: those that `hnmine filter` compared; none for sentence-transformers and "
        "colbert]",
        None,
        common=True,
    )
    prompt: str | None = setting(
        "Output",
        "Instruction for every query, for formats with a field for it: flagembedding.",
        None,
        common=True,
    )

    @field_validator("to")
    @classmethod
    def _known(cls, value: str) -> str:
        EXPORTS.check(value)
        return value


class PushSettings(CommonSettings):
    """Settings of `hnmine push`."""

    command = "push"

    data: Path = path("Directory that `hnmine filter` or `hnmine export` wrote.", common=True)
    repo: str = setting(
        "Output", "Dataset repository, as OWNER/NAME; created if it doesn't exist.", common=True
    )
    private: bool = setting(
        "Output",
        "Make a new repository private; an existing one keeps its visibility.",
        True,
        common=True,
    )
    scored: bool = setting(
        "Output",
        "Upload scored/ and the shortfall too, which name documents and queries by id.",
        False,
        common=True,
    )
