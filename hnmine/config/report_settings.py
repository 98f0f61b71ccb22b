"""Settings of `hnmine report`, `inspect` and `diff`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from hnmine.config.shared import Settings, path


class LookSettings(Settings):
    """What is looked at, and where its texts are."""

    mined: Path = path("Directory that `hnmine filter` wrote.")
    candidates: Path | None = path(
        "The candidates, where they have moved since `hnmine filter`. [default: where they were]",
        None,
    )
    index: Path | None = path(
        "The index, where it has moved since `hnmine mine`. [default: where it was]", None
    )


class ReportSettings(LookSettings):
    """Settings of `hnmine report`."""

    command = "report"

    html: bool = Field(True, description="Write the page; without it, print the summary alone.")
    output: Path | None = path(
        "File to write the page to. [default: report.html in the mined directory]", None
    )


class InspectSettings(LookSettings):
    """Settings of `hnmine inspect`."""

    command = "inspect"

    query: list[str] = Field(
        default_factory=list, description="Show the query of this id. May be repeated."
    )
    text: str | None = Field(
        None, description="Show queries that hold this text; that which is no more than it first."
    )
    reason: str | None = Field(
        None,
        description="Show queries that lost most candidates for this reason, such as margin, and "
        "of their candidates those alone.",
    )
    worst: int | None = Field(
        None,
        ge=1,
        description="Show this many queries with most negatives that are likely false. "
        "[default: 1, where nothing else is asked]",
    )
    limit: int = Field(3, ge=1, description="Queries to show for --text and --reason, at most.")
    characters: int = Field(240, ge=20, description="Characters to show of a text, at most.")

    @model_validator(mode="after")
    def _one_question(self) -> InspectSettings:
        asked = [self.query, self.text, self.reason, self.worst]
        if sum(value not in (None, []) for value in asked) > 1:
            raise ValueError("query, text, reason, worst: give one of them")
        return self


class DiffSettings(Settings):
    """Settings of `hnmine diff`."""

    command = "diff"

    before: Path = path("Directory that `hnmine filter` wrote.")
    after: Path = path("Another, to compare it with.")
    queries: int = Field(10, ge=0, description="Queries that changed most to name, at most.")
