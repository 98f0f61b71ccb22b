"""Settings for finding and reading input tables."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

from pydantic import field_validator

from hnmine.config.setting import MANY, flag_of, path, setting
from hnmine.config.shared import COLUMN, Settings, assignments
from hnmine.runner.plan import Json

TABLES = ("corpus", "pairs", "queries", "qrels", "run", "written", "vectors")
"""The tables whose columns `--column` names."""

LEFT_OUT = "pairs.label"
"""The role that an empty name takes away from every column."""


@dataclass(frozen=True)
class Reading:
    """How the files of an input are read.

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

    split: str | None = setting(
        "Inputs",
        "Splits to read, such as train or train,dev or all; CONFIG/SPLIT for data sets with "
        "several configurations.",
        None,
        in_plan=False,
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

    column: dict[str, str] = setting(
        "Inputs",
        "Column with an unusual name, such as corpus.text=body, or a number without a header.",
        dict,
        common=True,
        value=COLUMN,
    )
    quoting: Literal["auto", "csv", "none"] = setting(
        "Inputs",
        "Whether quotes in text tables enclose values (csv) or belong to them (none).",
        "auto",
    )
    encoding: str = setting(
        "Inputs",
        "Encoding of text files without a byte order mark, such as cp1252.",
        "utf-8",
    )
    on_bad_row: Literal["error", "skip"] = setting(
        "Inputs",
        "What to do with rows that are null, blank or contradict others.",
        "error",
    )

    @field_validator("column", mode="before")
    @classmethod
    def _parse_columns(cls, value: object) -> object:
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

    def plan(self) -> Json:
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


class PairSettings(InputSettings):
    """Queries and their positives."""

    pairs: str | None = path(
        "Pairs of query and positive text: a file, directory or glob.", None, common=True
    )
    queries: str | None = path(
        "Queries with ids, to use with --qrels instead of --pairs.", None, common=True
    )
    qrels: str | None = path(
        "Judgements: query id, corpus id and, if graded, score.", None, common=True
    )
    min_grade: float = setting(
        "Inputs", "Lowest grade at which a judged document is a positive.", 1.0
    )

    def check_positives(self, *instead: str) -> None:
        """Raise unless the positives come from pairs, or from other inputs together."""
        others = [getattr(self, name) for name in instead]
        flags = list(map(flag_of, instead))
        either = f"--pairs, or {', '.join(flags[:-1])} and {flags[-1]}"
        if self.pairs is None and not all(others):
            raise ValueError(f"Missing required option {either}.")
        if self.pairs is not None and (self.queries or self.qrels):
            raise ValueError("pairs: give --pairs or --queries and --qrels, not both")


class JudgedSettings(PairSettings):
    """Queries, their positives, and how deep to search for candidates."""

    top_k: int = setting(
        "Which are chosen",
        "Number of candidates per query from each source.",
        100,
        common=True,
        ge=1,
        le=MANY,
    )
