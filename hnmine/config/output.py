"""Settings of the commands that write a directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypedDict

from pydantic import field_validator, model_validator

from hnmine.config.setting import MANY, setting
from hnmine.config.shared import CommonSettings
from hnmine.runner.task_share import ALONE, Share

MEMORY = r"(\d+(?:\.\d+)?) ?([MmGgTt][Bb])"
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


class Manner(TypedDict):
    """How a run writes its directory."""

    overwrite: bool
    progress: bool
    share: Share


class OutputSettings(CommonSettings):
    """How a directory is written."""

    overwrite: bool = setting(
        "Output",
        "Replace the output of a run with other settings.",
        False,
        common=True,
        in_plan=False,
    )
    workers: int | None = setting(
        "Scale-out",
        "Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or "
        "machine with --engine ray]",
        None,
        common=True,
        in_plan=False,
        ge=1,
        le=1024,
    )
    engine: Literal["local", "ray"] = setting(
        "Scale-out",
        "Where workers run: on this machine, or on a Ray cluster with shared directories.",
        "local",
        in_plan=False,
    )
    ray_address: str | None = setting(
        "Scale-out",
        "Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: "
        "RAY_ADDRESS, else a new local one]",
        None,
        in_plan=False,
    )
    max_memory: str | None = setting(
        "Scale-out",
        "Memory limit for all workers together, such as 12GB; fewer start if it is too small.",
        None,
        in_plan=False,
    )
    task: str | None = setting(
        "Scale-out",
        "Share of the tasks for this process, I/N from 0/N, to run the command on several "
        "machines.",
        None,
        in_plan=False,
    )
    finish: bool = setting(
        "Scale-out",
        "Complete a run whose tasks were done with --task; fail if any is missing.",
        False,
        in_plan=False,
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
            raise ValueError(f"{value!r} isn't an amount of memory, such as 12GB or 800MB")
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
        """The memory limit of all workers together, in bytes."""
        found = self.max_memory and re.fullmatch(MEMORY, self.max_memory)
        return int(float(found[1]) * UNITS[found[2].upper()]) if found else None

    @property
    def share(self) -> Share:
        """The share of this process in the run."""
        if self.task is None:
            return Share(finish=True) if self.finish else ALONE
        index, of = map(int, self.task.split("/"))
        return Share(index, of)

    @property
    def manner(self) -> Manner:
        """How the directory is written."""
        return {"overwrite": self.overwrite, "progress": self.progress, "share": self.share}
