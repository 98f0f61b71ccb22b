"""Settings of `hnmine export` and `hnmine push`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from hnmine.config.output import OutputSettings
from hnmine.config.shared import Settings, path
from hnmine.exports import EXPORTS


class ExportSettings(OutputSettings):
    """Settings of `hnmine export`."""

    command = "export"

    mined: Path = path("Directory that `hnmine filter` wrote.")
    to: str = Field(description="The format; all are listed above.")
    output: Path = path("Directory to write the files to.")
    scores: str | None = Field(
        None,
        description="The scores to write: ce, dense, bm25, or an expression over the columns of "
        "scored/. [default: those that `hnmine filter` compared; with the layouts of "
        "sentence-transformers and with colbert none]",
    )
    prompt: str | None = Field(
        None,
        description="Instruction of the queries, for formats with a field for it, such as "
        "flagembedding.",
    )
    candidates: Path | None = path(
        "The candidates, where they have moved since `hnmine filter`. [default: where they were]",
        None,
    )
    index: Path | None = path(
        "The index, where it has moved since `hnmine mine`. [default: where it was]", None
    )

    @field_validator("to")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in EXPORTS:
            raise ValueError(f"{value!r} is none of {', '.join(EXPORTS)}.{EXPORTS.near(value)}")
        return value


class PushSettings(Settings):
    """Settings of `hnmine push`."""

    command = "push"

    data: Path = path("Directory that `hnmine filter` or `hnmine export` wrote.")
    repo: str = Field(description="Dataset repository, as OWNER/NAME; made if it is not there.")
    private: bool = Field(
        True, description="Make a new repository private; one that is there stays as it is."
    )
