"""Settings of the commands that write a directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypedDict

from pydantic import Field, field_validator, model_validator

from hnmine.config.shared import MANY, NOT_IN_PLAN, Settings
from hnmine.runner.task_share import ALONE, Share

MEMORY = r"(\d+(?:\.\d+)?) ?([MmGgTt][Bb])"
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


class Manner(TypedDict):
    """How a run writes a directory, whatever it writes."""

    overwrite: bool
    progress: bool
    share: Share


class OutputSettings(Settings):
    """How a directory is written."""

    overwrite: bool = Field(
        False,
        description="Replace what a run with other settings wrote to the output directory.",
        json_schema_extra=NOT_IN_PLAN,
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Processes that share the tasks, and the --threads of their machine; each "
        "loads the models. [default: 1; with --engine ray one for each GPU of the cluster, or for "
        "each machine where there are none]",
        json_schema_extra=NOT_IN_PLAN,
    )
    engine: Literal["local", "ray"] = Field(
        "local",
        description="Who starts the workers: local, this machine; ray, a Ray cluster, whose "
        "machines share the directories.",
        json_schema_extra=NOT_IN_PLAN,
    )
    ray_address: str | None = Field(
        None,
        description="The cluster of --engine ray: auto for the one that this machine belongs to, "
        "or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]",
        json_schema_extra=NOT_IN_PLAN,
    )
    max_memory: str | None = Field(
        None,
        description="Memory that all --workers together may take, such as 12GB: fewer are started, "
        "and one is stopped where they take more.",
        json_schema_extra=NOT_IN_PLAN,
    )
    task: str | None = Field(
        None,
        description="Share the tasks with other processes that run this command, here or on other "
        "machines, as process I of N, from 0: I/N.",
        json_schema_extra=NOT_IN_PLAN,
    )
    finish: bool = Field(
        False,
        description="End a run whose tasks other processes have done with --task; fail if one is "
        "missing that they could have shared.",
        json_schema_extra=NOT_IN_PLAN,
    )

    @field_validator("task")
    @classmethod
    def _check_task(cls, value: str | None) -> str | None:
        if value is not None:
            index, slash, of = value.partition("/")
            numbers = slash and all(part.isascii() and part.isdigit() for part in (index, of))
            if not (numbers and int(index) < int(of) <= MANY):
                raise ValueError(f"{value!r} is not of the form I/N, with I from 0 to N - 1")
        return value

    @field_validator("max_memory")
    @classmethod
    def _check_memory(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(MEMORY, value):
            raise ValueError(f"{value!r} is no amount of memory, such as 12GB or 800MB")
        return value

    @model_validator(mode="after")
    def _check_share(self) -> OutputSettings:
        if self.finish and (self.task or (self.workers or 1) > 1):
            raise ValueError("finish: cannot be combined with --task or --workers")
        if self.engine == "ray" and (self.finish or self.task or self.max_memory):
            raise ValueError("engine: ray cannot be combined with --finish, --task or --max-memory")
        if self.engine != "ray" and self.ray_address:
            raise ValueError("ray-address: needs --engine ray")
        return self

    @property
    def directory(self) -> Path:
        """The directory that is written."""
        directory: Path = getattr(self, "index" if self.command == "build-index" else "output")
        return directory

    @property
    def memory_limit(self) -> int | None:
        """The bytes that the workers may take together."""
        found = self.max_memory and re.fullmatch(MEMORY, self.max_memory)
        return int(float(found[1]) * UNITS[found[2].upper()]) if found else None

    @property
    def share(self) -> Share:
        """The part of this process in the run."""
        if self.task is None:
            return Share(finish=True) if self.finish else ALONE
        index, of = map(int, self.task.split("/"))
        return Share(index, of)

    @property
    def manner(self) -> Manner:
        """How the directory is written."""
        return {"overwrite": self.overwrite, "progress": self.progress, "share": self.share}
