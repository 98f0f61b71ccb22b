"""The base of all settings: types, checks, and how a model runs."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypedDict, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hnmine.config.setting import MANY, about, flag_of, key_of, setting, why_gone
from hnmine.errors import UsageError, did_you_mean
from hnmine.printable import redacted
from hnmine.runner.urls import mirror, split_url

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from typing_extensions import Self
from hnmine.runner.plan import Json


def _as_text(value: object) -> object:
    """Return paths as texts, of which Python callers may pass either."""
    if isinstance(value, list | tuple):
        return [_as_text(item) for item in value]
    if not isinstance(value, os.PathLike):
        return value
    url = split_url(Path(value))  # A Path makes one slash of two.
    return "://".join(url) if url else os.fspath(value)


def _mirrored(place: object) -> object:
    return mirror(place) if isinstance(place, str | Path) and split_url(place) else place


Dtype = Literal["fp32", "bf16", "fp16"]
Backend = Literal["torch", "openvino", "onnx"]
Pooling = Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


def device(of: str = "the models") -> str:
    """Declare the setting for the device of a model."""
    return setting("Models", f"Device for {of}: auto, cpu, cuda, cuda:1 or mps.", "auto")


Count = Annotated[int, Field(ge=0, le=MANY)]


class Settings(BaseModel):
    """The settings of a command."""

    # Building the validators of all commands takes a third of the time of `--help`.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    command: ClassVar[str] = ""

    @field_validator("*", mode="before")
    @classmethod
    def _check_kind(cls, value: object, info: ValidationInfo) -> object:
        """Check what holds for all settings of a kind: texts, numbers, lists and mappings."""
        field = cls.model_fields[info.field_name or ""]
        kinds = _kinds(field.annotation)
        check_text(value)
        if kinds & {int, float} and _holds_bool(value):
            raise ValueError("must be a number, not yes or no")
        if kinds & {list, dict}:
            if value is None:  # A key of the file whose lines are all commented out.
                return [] if field.is_required() else field.get_default(call_default_factory=True)
            return value if isinstance(value, list | tuple | Mapping) else [value]
        if int in kinds and isinstance(value, int) and abs(value) > MANY:
            raise ValueError(f"must be at most {MANY:,}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _mirror_urls(cls, values: Json) -> Json:
        found = dict(values)
        for name in cls.places():
            kind, value = cls.model_fields[name].annotation, values.get(name)
            if kind in (Path, Path | None):
                found |= {name: _mirrored(value)} if name in values else {}
            elif kind == list[Path] and isinstance(value, list | tuple):
                found[name] = [_mirrored(one) for one in value]
        return found

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
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
            fix = f"`hnmine {cls.command} --help-all` lists all options."
            raise UsageError("\n".join(problems), fix=fix) from error

    def plan(self) -> Json:
        """Return the settings on which the result depends, as JSON values."""
        fields = type(self).model_fields
        hidden = {name for name, field in fields.items() if not about(field).in_plan}
        recorded: Json = redacted(self.model_dump(mode="json", exclude=hidden))
        return recorded

    @classmethod
    def places(cls) -> list[str]:
        """Return the names of the settings that are paths or other addresses."""
        return [name for name, field in cls.model_fields.items() if about(field).place]


class CommonSettings(Settings):
    """Settings of all commands that read or write a directory of hnmine."""

    threads: int | None = setting(
        "Advanced", "CPU threads to use. [default: all]", None, ge=1, in_plan=False
    )
    progress: bool = setting(
        "Advanced",
        "Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.",
        True,
        in_plan=False,
    )

    @property
    def cpu_threads(self) -> int:
        """The CPU threads to use: those given, else those that this process may run on."""
        allowed = getattr(os, "sched_getaffinity", None)  # Linux alone knows it.
        return self.threads or (len(allowed(0)) if allowed else os.cpu_count() or 1)


def _short(value: object) -> str:
    shown = reprlib.repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}..."


def no_such_setting(name: str, known: Iterable[str]) -> str:
    """Say that a setting is unknown or gone, and which one is meant or replaces it."""
    if gone := why_gone(name):
        return gone
    return f"{name}: no such setting.{did_you_mean(key_of(name), map(key_of, known))}"


def _problem(item: ErrorDetails, known: Collection[str]) -> str:
    name = key_of(".".join(map(str, item["loc"])))
    if item["type"] == "extra_forbidden":
        return no_such_setting(name, known)
    if item["type"] == "missing":
        return f"Missing required option {flag_of(name)}."
    message = item["msg"].removeprefix("Value error, ")
    if message.startswith("Missing "):
        return message
    given = "" if item["type"] == "value_error" else f" (given: {_short(item['input'])})"
    return f"{name}: {message}{given}" if name else message


def _kinds(annotation: object) -> set[object]:
    """Return the types that an annotation names, and those of what lists and mappings hold."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal or not parts:
        return {origin or annotation}
    return {origin}.union(*map(_kinds, parts))


def _holds_bool(value: object) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    return any(map(_holds_bool, value)) if isinstance(value, list) else isinstance(value, bool)


def check_text(value: object) -> None:
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


def assignments(value: object, shape: str = "NAME=EXPRESSION") -> object:
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
    parsed: dict[object, object] = {}
    for name, rest in pairs:
        needed = (name,) if shape == COLUMN else (name, rest)
        if any(isinstance(part, str) and not part.strip() for part in needed):
            raise ValueError(f"'{name}={rest}' is not of the form {shape}")
        if name in parsed:
            raise ValueError(f"{name!r} comes twice")
        parsed[name] = rest
    return parsed


@dataclass(frozen=True)
class Reach:
    """How a model's server is asked; no result depends on it.

    Attributes:
        timeout: seconds for a whole answer.
        requests: at the same time.
        api_key_env: environment variable with the server's key.
    """

    timeout: float = 120.0
    requests: int = 4
    api_key_env: str = "OPENAI_API_KEY"


class ModelUse(TypedDict):
    """How a model runs, as `ModelSpec.find` takes it."""

    device: str
    backend: Backend | Literal["auto"]
    dtype: Dtype | Literal["auto"] | None
    batch_tokens: int | None
    max_length: int | None
    reach: Reach


class ModelSettings(Settings):
    """How a model runs."""

    device: str = device()
    backend: Literal["auto", "torch", "openvino", "onnx"] = setting(
        "Models",
        "Library that runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU if it "
        "is installed, else PyTorch.",
        "auto",
    )
    dtype: Literal["auto", "fp32", "bf16", "fp16"] | None = setting(
        "Models",
        "Precision of the model's weights. [default: auto, which is bf16 where the device computes "
        "in it, else fp16 on a GPU and fp32 on a CPU]",
        None,
    )
    batch_tokens: int | None = setting(
        "Models",
        "Tokens per forward pass; use fewer if memory runs out. [default: 1024 on a CPU; by "
        "the model's width on a GPU]",
        None,
        ge=1,
    )
    max_length: int | None = setting(
        "Models",
        "Maximum tokens per text; the rest is truncated. [default: the model's limit]",
        None,
        ge=1,
    )

    @property
    def model_use(self) -> ModelUse:
        """How the model runs."""
        return {
            "device": self.device,
            "backend": self.backend,
            "dtype": self.dtype,
            "batch_tokens": self.batch_tokens,
            "max_length": self.max_length,
            "reach": self.reach,
        }

    @property
    def reach(self) -> Reach:
        """How the model's server is asked, where it runs on one."""
        return Reach()
