"""Settings of the commands that read a mined directory."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from hnmine.config.reading_options import SplitSettings
from hnmine.config.setting import MANY, path, seed, setting
from hnmine.config.shared import CommonSettings


def moved_index() -> Path | None:
    """Declare the setting for an index that has moved."""
    return path(
        "Index directory, if it has moved since `hnmine mine`. [default: as recorded]", None
    )


class MinedSettings(CommonSettings):
    """Which mined directory is read, and where its texts are."""

    mined: Path = path("Directory that `hnmine filter` wrote.", common=True)
    candidates: Path | None = path(
        "Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]", None
    )
    index: Path | None = moved_index()


class AuditedSettings(MinedSettings, SplitSettings):
    """What the share of false negatives is counted from."""

    qrels: str | None = path(
        "Judgements to count false negatives with, more complete than those mined with.",
        None,
        common=True,
    )
    min_grade: float = setting(
        "Inputs", "Lowest grade at which a judged document counts as relevant.", 1.0
    )
    verdicts: str | None = path(
        "Sheet of verdicts that `hnmine judge` or `hnmine review` filled.", None, common=True
    )
    shortcuts: bool = setting(
        "Advanced",
        "Measure how well length, BM25, shared words or wording alone separate positives from "
        "negatives.",
        True,
    )


class ReportSettings(AuditedSettings):
    """Settings of `hnmine report`."""

    command = "report"

    html: bool = setting(
        "Output", "Write the HTML page; otherwise only the summary is printed.", True, common=True
    )
    output: Path | None = path(
        "File for the page. [default: report.html in the mined directory]",
        None,
        group="Output",
        common=True,
    )
    compare: Path | None = path(
        "Folder that `hnmine compare --output` wrote, for a section on how this directory "
        "compares with others.",
        None,
        common=True,
    )


class AuditSettings(AuditedSettings):
    """Settings of `hnmine audit`, an older name for a part of `hnmine report`."""

    command = "audit"

    sample: int | None = setting(
        "Output", "Number of negatives to draw for a person or a model to judge.", None, ge=1
    )
    sheet: Path | None = path(
        "File for the sample: .csv or .parquet.", None, group="Output", common=True
    )
    seed: int = seed("Random seed for the sample.")


class InspectSettings(MinedSettings):
    """Settings of `hnmine inspect`."""

    command = "inspect"

    query: list[str] = setting("Inputs", "Id of a query to show.", list, common=True)
    text: str | None = setting(
        "Inputs",
        "Text that the shown queries contain; an exact match comes first.",
        None,
        common=True,
    )
    reason: str | None = setting(
        "Inputs",
        "Show the queries that lost most candidates for this reason, such as margin, and those "
        "candidates.",
        None,
        common=True,
    )
    worst: int | None = setting(
        "Inputs",
        "Number of queries to show, those with the most doubtful negatives first. [default: 1 if "
        "nothing else is asked]",
        None,
        common=True,
        ge=1,
    )
    limit: int = setting(
        "Output", "Maximum number of queries to show for --text and --reason.", 3, common=True, ge=1
    )
    characters: int = setting(
        "Output", "Maximum number of characters of a text to show.", 240, common=True, ge=20
    )

    @model_validator(mode="after")
    def _one_question(self) -> InspectSettings:
        asked = [self.query, self.text, self.reason, self.worst]
        if sum(value not in (None, []) for value in asked) > 1:
            raise ValueError("query, text, reason, worst: give one of them")
        return self


USUAL_EVEN = 40
"""Negatives that a review draws evenly, unless it is asked for doubtful ones alone."""


class ReviewSettings(MinedSettings):
    """Settings of `hnmine review`."""

    command = "review"

    sheet: Path | None = path(
        "Sheet to write, or to continue: .csv or .parquet. [default: the one that the directory "
        "was filtered with, else MINED-review.csv]",
        None,
        group="Output",
        common=True,
    )
    doubtful: int = setting(
        "Which are chosen",
        "Number of doubtful candidates to judge: high in relevance, narrowly dropped, or disputed "
        "between judges.",
        60,
        common=True,
        ge=0,
        le=MANY,
    )
    even: int | None = setting(
        "Which are chosen",
        "Number of other negatives to judge, drawn evenly, from which the share of false "
        "negatives is estimated. [default: 40; none with --doubtful]",
        None,
        common=True,
        ge=0,
        le=MANY,
    )
    page: bool = setting(
        "Output",
        "Serve a page on this machine to judge with the keyboard; otherwise only the sheet is "
        "written.",
        True,
        common=True,
    )
    port: int = setting(
        "Advanced", "Port of the page; 0 takes any free port.", 0, common=True, ge=0, le=65535
    )
    seed: int = seed("Random seed for the even sample and the order of the queries.")

    @property
    def evenly_drawn(self) -> int:
        """The number of negatives to draw evenly: those asked for, else none with --doubtful."""
        usual = 0 if "doubtful" in self.model_fields_set else USUAL_EVEN
        return usual if self.even is None else self.even
