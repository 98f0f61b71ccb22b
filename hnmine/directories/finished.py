"""A finished directory of any stage: its manifest, its run record, and the directory it is from."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Generic, Literal, TypeVar

from hnmine.directories.manifest_files import place_named
from hnmine.directories.manifests import Manifest
from hnmine.errors import InputError
from hnmine.results import Json
from hnmine.runner.manifest import RUN, read_json
from hnmine.runner.plan import digest

Kind = TypeVar("Kind", bound=Manifest, covariant=True)
Open = TypeVar("Open", bound="Finished[Manifest]")


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
        return digest(self.manifest.recorded)

    @cached_property
    def run(self) -> Json:
        """The run record: when, where and how fast it was made; empty if run.json is missing."""
        return read_json(self.path / RUN) or {}

    def open_origin(
        self,
        what: Literal["candidates", "index"],
        moved: Path | None,
        open_it: Callable[[Path], Open],
    ) -> Open:
        """Open the directory that this one was made from.

        Args:
            what: its stage.
            moved: its path now; None for the path in the run record.
            open_it: opens the directory at a path.

        Raises:
            InputError: the run record does not name it or names a URL that the user did not, or it
                is another directory.
        """
        place = moved or place_named(self.path, what)
        if place is None:
            raise InputError(
                f"{self.path / RUN} does not say which {what} {self.path} was made from.",
                why="It is missing or damaged.",
                fix=f"Pass --{what} DIR.",
            )
        opened = open_it(place)
        if opened.hash != getattr(self.manifest, what):
            raise InputError(
                f"The {what} directory {place} is not the one that {self.path} was made from.",
                why="Its manifest has another hash.",
                fix=f"Pass the right directory with --{what}, or run "
                f"`hnmine {self.manifest.command}` again.",
            )
        return opened
