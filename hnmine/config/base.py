"""What settings of several commands share: types, checks, inputs, models."""

from __future__ import annotations

import codecs
import difflib
import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hnmine.errors import UsageError
from hnmine.printable import redacted
from hnmine.tasks.places import mirror, split_url

MANY = 2**31 - 1
"""The largest number of documents that anything is counted in."""

TABLES = ("corpus", "pairs", "queries", "qrels", "run", "written")
"""What `--column` names the columns of."""

NOT_IN_PLAN: dict[str, Any] = {"in_plan": False}
"""Marks settings on which the result does not depend, or that the plan holds by content."""

PLACE: dict[str, Any] = {"in_plan": False, "place": True}
"""Marks settings that say where something is."""


def _as_text(value: Any) -> Any:
    """Return paths as texts: in Python, either may say where something is."""
    if isinstance(value, list | tuple):
        return [_as_text(item) for item in value]
    if not isinstance(value, os.PathLike):
        return value
    url = split_url(Path(value))  # A Path makes one slash of two.
    return "://".join(url) if url else os.fspath(value)


Dtype = Literal["fp32", "bf16", "fp16"]
Backend = Literal["torch", "openvino", "onnx"]
Pooling = Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


Count = Annotated[int, Field(ge=0, le=MANY)]


def seed(help: str) -> Any:
    """Declare a setting that starts what is drawn at random."""
    return Field(0, ge=0, le=MANY, description=help)


def path(help: str, default: Any = ...) -> Any:
    """Declare a setting that says where something is: the plan holds it by content."""
    return Field(default, description=help, json_schema_extra=PLACE)


class Settings(BaseModel):
    """What all commands share."""

    # Building the validators of all commands takes a third of the time of `--help`.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    command: ClassVar[str] = ""

    threads: int | None = Field(
        None, ge=1, description="CPU threads. [default: all]", json_schema_extra=NOT_IN_PLAN
    )
    progress: bool = Field(
        True,
        description="Show progress bars on stderr, where that is a terminal.",
        json_schema_extra=NOT_IN_PLAN,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _check_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Check what holds for all settings of a kind: texts, numbers, lists and mappings."""
        field = cls.model_fields[info.field_name or ""]
        kinds = _kinds(field.annotation)
        check_text(value)
        if kinds & {int, float} and _holds_bool(value):
            raise ValueError("must be a number, not yes or no")
        if kinds & {list, dict}:
            if value is None:  # A key of the file whose lines are all commented out.
                return field.get_default(call_default_factory=True)
            return value if isinstance(value, list | tuple | Mapping) else [value]
        if int in kinds and isinstance(value, int) and abs(value) > MANY:
            raise ValueError(f"must be at most {MANY:,}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _mirror_urls(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Let the directories that are at URLs be their mirrors."""
        urls = {
            name: mirror(value)
            for name in cls.places()
            if cls.model_fields[name].annotation in (Path, Path | None)
            and isinstance(value := values.get(name), str | Path)
            and split_url(value)
        }
        return values | urls

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Any:
        """Check settings, all errors at once.

        Raises:
            UsageError: naming every setting that is unknown, missing or wrong.
        """
        known = cls.model_fields
        try:
            return cls.model_validate(
                {key.replace("-", "_"): _as_text(value) for key, value in values.items()}
            )
        except ValidationError as error:
            problems = [_problem(item, known) for item in error.errors()]
            fix = f"See `hnmine {cls.command} --help`."
            raise UsageError("\n".join(problems), fix=fix) from error

    @property
    def cpu_threads(self) -> int:
        """The CPU threads to use: those given, else those that this process may run on."""
        allowed = getattr(os, "sched_getaffinity", None)  # Linux alone knows it.
        return self.threads or (len(allowed(0)) if allowed else os.cpu_count() or 1)

    def plan(self) -> dict[str, Any]:
        """Return the settings on which the result depends, as JSON values."""
        hidden = {
            name
            for name, field in type(self).model_fields.items()
            if field.json_schema_extra in (NOT_IN_PLAN, PLACE)
        }
        recorded: dict[str, Any] = redacted(self.model_dump(mode="json", exclude=hidden))
        return recorded

    @classmethod
    def places(cls) -> list[str]:
        """Return the names of the settings that say where something is."""
        return [
            name for name, field in cls.model_fields.items() if field.json_schema_extra == PLACE
        ]


def _short(value: Any) -> str:
    shown = reprlib.repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}..."


def _problem(item: Any, known: Mapping[str, Any]) -> str:
    name = ".".join(map(str, item["loc"])).replace("_", "-")
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
        hint = f" Did you mean {close[0].replace('_', '-')}?" if close else ""
        return f"{name}: no such setting.{hint}"
    if item["type"] == "missing":
        return f"{name}: must be given."
    message = item["msg"].removeprefix("Value error, ")
    given = "" if item["type"] == "value_error" else f" (given: {_short(item['input'])})"
    return f"{name}: {message}{given}" if name else message


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that an annotation names, and those of what lists and mappings hold."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal or not parts:
        return {origin or annotation}
    return {origin}.union(*map(_kinds, parts))


def _holds_bool(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    return any(map(_holds_bool, value)) if isinstance(value, list) else isinstance(value, bool)


def check_text(value: Any) -> None:
    """Check that texts can be written as UTF-8, on whatever level of a value.

    Raises:
        ValueError: one holds bytes of another encoding, as flags and file names may.
    """
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for item in value:
            check_text(item)
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(text, str) and not _is_utf8(text):
        raise ValueError(f"{_short(text)} is not valid UTF-8; give a relative path that is")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


COLUMN = "TABLE.ROLE=NAME"
"""How `--column` names a column."""

LEFT_OUT = "pairs.label"
"""The role of which an empty name says that no column has it."""


def assignments(value: Any, shape: str = "NAME=EXPRESSION") -> Any:
    """Return a mapping; a flag gives it as a list of assignments.

    Args:
        value: a mapping, or strings such as `a=b = c`.
        shape: NAME=EXPRESSION, where the name is before the first =, or EXPRESSION=N, where the
            number is after the last.
    """
    if value is None:
        return None
    pairs = list(value.items()) if isinstance(value, Mapping) else []
    given = value if isinstance(value, list | tuple) else [value]
    for item in () if isinstance(value, Mapping) else given:
        split = str(item).rpartition if shape.endswith("=N") else str(item).partition
        name, equals, rest = split("=")
        if not equals:
            raise ValueError(f"{item!r} is not of the form {shape}")
        pairs.append((name.strip(), rest.strip()))
    parsed: dict[Any, Any] = {}
    for name, rest in pairs:
        needed = (name,) if shape == COLUMN else (name, rest)
        if any(isinstance(part, str) and not part.strip() for part in needed):
            raise ValueError(f"'{name}={rest}' is not of the form {shape}")
        if name in parsed:
            raise ValueError(f"{name!r} comes twice")
        parsed[name] = rest
    return parsed


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


class ModelSettings(Settings):
    """How a model runs."""

    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    backend: Literal["auto", "torch", "openvino", "onnx"] = Field(
        "auto",
        description="What runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU "
        "where it is installed, else PyTorch.",
    )
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "fp32",
        description="Number format of the model's weights; auto: bf16 where the machine computes "
        "in it, else fp32.",
    )
    batch_tokens: int | None = Field(
        None,
        ge=1,
        description="Tokens in one forward pass, about. [default: 1024 on a CPU, 32768 on a GPU]",
    )
    max_length: int | None = Field(
        None, ge=1, description="Tokens after which a text is cut. [default: the model's]"
    )


class JudgedSettings(InputSettings):
    """Which judgements count, and how deep to look for candidates."""

    qrels: str | None = path("Judgements: query id, corpus id and, if graded, score.", None)
    min_grade: float = Field(1.0, description="Judgements below this grade are not positives.")
    top_k: int = Field(
        100, ge=1, le=MANY, description="Candidates from each source for each query."
    )
