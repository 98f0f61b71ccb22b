"""An index directory, opened: its manifest and its documents."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnmine.directories.manifests import known_manifest
from hnmine.encode.spec import ModelSpec
from hnmine.errors import damage_explained
from hnmine.inputs.texts import Texts
from hnmine.runner.manifest import MANIFEST
from hnmine.runner.plan import digest
from hnmine.schema import IndexPaths

if TYPE_CHECKING:
    from hnmine.index.dense_index import DenseIndex


class Index:
    """What every reader of an index needs; BM25 and dense parts are opened by their sources."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths = IndexPaths(path)
        self.manifest: dict[str, Any] = known_manifest(path, "index")

    @property
    def hash(self) -> str:
        """Hash of the manifest; the plans of what is made from this index hold it."""
        return digest(self.manifest)

    @cached_property
    def documents(self) -> Texts:
        """The documents, by row."""
        return Texts(self.paths.documents)

    @property
    def encoder(self) -> ModelSpec:
        """The encoder of its documents.

        Raises:
            InputError: the manifest does not say which it is.
        """
        with damage_explained(self.path / MANIFEST):
            return ModelSpec.model_validate(self.manifest["encoder"])

    def vectors(self, threads: int, search_parameters: str | None = None) -> DenseIndex:
        """Open the vectors of the documents.

        Args:
            threads: CPU threads.
            search_parameters: of an approximate index.

        Raises:
            InputError: they are damaged, or are not as many as there are documents.
        """
        from hnmine.index.dense_index import (
            DenseIndex,  # It takes FAISS, which most readers do without.
        )

        count = len(self.documents.canonical)
        similarity = self.encoder.similarity
        return DenseIndex(self.paths.dense, threads, search_parameters, count, similarity)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it was built with."""
        settings: dict[str, Any] = self.manifest["settings"]
        return settings
