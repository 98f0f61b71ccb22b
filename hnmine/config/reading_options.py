"""How the tables that a command reads are found and read."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from hnmine.config.shared import COLUMN, MANY, NOT_IN_PLAN, Settings, assignments, path

TABLES = ("corpus", "pairs", "queries", "qrels", "run", "written")
"""What `--column` names the columns of."""

LEFT_OUT = "pairs.label"
"""The role of which an empty name says that no column has it."""


@dataclass(frozen=True)
class Reading:
    """How the user wants the files of an input read.

    Attributes:
        quoting: of text tables: `auto`, `csv` or `none`.
        encoding: of text files without a byte order mark.
        splits: to read, where there are several.
    """

    quoting: str = "auto"
    encoding: str = "utf-8"
    splits: tuple[str, ...] = ()


AS_IT_IS = Reading()


class SplitSettings(Settings):
    """Which files of an input are read."""

    split: str | None = Field(
        None,
        description="Splits to read of inputs that have several, such as train, several with "
        "commas, or all; CONFIG/SPLIT where a data set has several configurations.",
        json_schema_extra=NOT_IN_PLAN,
    )

    @property
    def splits(self) -> tuple[str, ...]:
        """The names in `split`."""
        return tuple(name for part in (self.split or "").split(",") if (name := part.strip()))

    @property
    def reading(self) -> Reading:
        """How the files of inputs are read."""
        return Reading(splits=self.splits)


class InputSettings(SplitSettings):
    """How input tables are read."""

    column: dict[str, str] = Field(
        default_factory=dict,
        description="Name a column that is not found by convention, as TABLE.ROLE=NAME, such as "
        "corpus.text=body or, inside a struct, corpus.text=document.body; `pairs.label=` says "
        "that no column is a label. In a file without a header, columns are numbered: "
        "corpus.text=2. Tables: corpus, pairs, queries, qrels, run, written. May be repeated.",
    )
    quoting: Literal["auto", "csv", "none"] = Field(
        "auto",
        description="Whether quotes in text tables quote values, as in CSV, or belong to the "
        "values. auto: CSV is quoted; all lines of a TSV file must prove that it is, or that it "
        "isn't.",
    )
    encoding: str = Field(
        "utf-8",
        description="Encoding of text files, such as cp1252 for Windows and Latin-1. A byte order "
        "mark in a file overrides it.",
    )
    on_bad_row: Literal["error", "skip"] = Field(
        "error", description="What to do with rows that are null, blank or contradict others."
    )

    @field_validator("column", mode="before")
    @classmethod
    def _parse_columns(cls, value: Any) -> Any:
        return assignments(value, COLUMN)

    @field_validator("column")
    @classmethod
    def _check_tables(cls, value: dict[str, str]) -> dict[str, str]:
        for role, name in value.items():
            if not name.strip() and role != LEFT_OUT:
                raise ValueError(f"'{role}={name}' is not of the form {COLUMN}")
            table, dot, _ = role.partition(".")
            if not dot:
                raise ValueError(f"{role!r} is not of the form TABLE.ROLE")
            if table not in TABLES:
                raise ValueError(f"{role!r} names no table: use one of {', '.join(TABLES)}")
        return value

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str) -> str:
        try:
            "".encode(value)  # Codecs that are no encodings of text are refused, too.
        except (LookupError, UnicodeError) as error:
            raise ValueError(f"{value!r} is not known; try cp1252 or utf-16") from error
        return codecs.lookup(value).name

    def plan(self) -> dict[str, Any]:
        """Return the settings on which the result depends, as JSON values."""
        recorded = super().plan()
        for name in ("quoting", "encoding"):  # Plans of older versions do not have them.
            if recorded[name] == InputSettings.model_fields[name].default:
                del recorded[name]
        return recorded

    @property
    def reading(self) -> Reading:
        """How the files of inputs are read."""
        return Reading(self.quoting, self.encoding, self.splits)

    def columns(self, table: str) -> dict[str, str]:
        """Return the column names given for one table, by role."""
        return {
            role.partition(".")[2]: name
            for role, name in self.column.items()
            if role.partition(".")[0] == table
        }


class JudgedSettings(InputSettings):
    """Which judgements count, and how deep to look for candidates."""

    qrels: str | None = path("Judgements: query id, corpus id and, if graded, score.", None)
    min_grade: float = Field(1.0, description="Judgements below this grade are not positives.")
    top_k: int = Field(
        100, ge=1, le=MANY, description="Candidates from each source for each query."
    )
