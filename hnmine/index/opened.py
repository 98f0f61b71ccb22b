"""An index directory, opened: its manifest and its documents."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from hnmine.data.texts import Texts
from hnmine.schema import IndexPaths
from hnmine.tasks.finished import read_manifest
from hnmine.tasks.plan import digest


class Index:
    """What every reader of an index needs; BM25 and dense parts are opened by their sources."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths = IndexPaths(path)
        self.manifest: dict[str, Any] = read_manifest(path, "index", "build-index")

    @property
    def hash(self) -> str:
        """Hash of the manifest; the plans of what is made from this index hold it."""
        return digest(self.manifest)

    @cached_property
    def documents(self) -> Texts:
        """The documents, by row."""
        return Texts(self.paths.documents)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it was built with."""
        settings: dict[str, Any] = self.manifest["settings"]
        return settings
