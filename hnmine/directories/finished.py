"""A finished directory of any stage: its manifest, its run record, and the directory it is from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Generic, Literal, TypeVar

from hnmine.directories.manifests import Manifest
from hnmine.errors import InputError
from hnmine.results import Json
from hnmine.runner.manifest import place_named
from hnmine.runner.recorded_outputs import RUN, read_json

Kind = TypeVar("Kind", bound=Manifest)


class Finished(Generic[Kind]):
    """A directory that a command of hnmine has finished.

    Attributes:
        path: the directory; of one at a URL, its mirror.
        manifest: checked when the directory is opened.
    """

    def __init__(self, path: Path, kind: type[Kind]) -> None:
        self.path = path
        self.manifest = kind.read(path)

    @property
    def hash(self) -> str:
        """Hash of the manifest; the plans of directories made from this one hold it."""
        return self.manifest.hash

    @cached_property
    def run(self) -> Json:
        """The run record: when, where and how fast it was made; empty if run.json is missing."""
        return read_json(self.path / RUN) or {}

    def origin(self, what: Literal["candidates", "index"], moved: Path | None) -> Path:
        """Return the path of the directory that this one was made from.

        Args:
            what: the stage of that directory.
            moved: its path now; None for the path in the run record.

        Raises:
            InputError: the run record does not name it, or names a URL that the user did not.
        """
        place = moved or place_named(self.path, what)
        if place is None:
            raise InputError(
                f"{self.path / RUN} does not say which {what} {self.path} was made from.",
                why="It is missing or damaged.",
                fix=f"Pass --{what} DIR.",
            )
        return place

    def check_origin(self, what: str, place: Path, found: str, recorded: str) -> None:
        """Refuse a directory that this one was not made from.

        Args:
            what: its stage.
            place: its path.
            found: hash of its manifest.
            recorded: the hash that this directory's manifest holds.

        Raises:
            InputError: the hashes differ.
        """
        if found != recorded:
            command = self.manifest.command
            raise InputError(
                f"The {what} directory {place} is not the one that {self.path} was made from.",
                why="Its manifest has another hash.",
                fix=f"Pass the right directory with --{what}, or run `hnmine {command}` again.",
            )
