"""The reader of an index directory."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hnmine.config import BuildIndexSettings
from hnmine.directories.finished import Finished
from hnmine.directories.manifests import IndexManifest
from hnmine.encode.spec import ModelSpec
from hnmine.errors import damage_explained
from hnmine.inputs.texts import Texts
from hnmine.runner.manifest import MANIFEST
from hnmine.schema import IndexPaths

if TYPE_CHECKING:
    from hnmine.index.dense_index import DenseIndex


class Index(Finished[IndexManifest]):
    """An index: its documents and vectors. Each source opens the BM25 part that it needs.

    Raises:
        InputError: the directory is missing, unfinished or damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, IndexManifest)
        self.paths = IndexPaths(path)

    @property
    def settings(self) -> BuildIndexSettings:
        """The settings that it was built with."""
        return self.manifest.settings

    @cached_property
    def documents(self) -> Texts:
        """The documents, by row."""
        return Texts(self.paths.documents)

    @property
    def encoder(self) -> ModelSpec:
        """The encoder of its documents.

        Raises:
            InputError: the manifest names no encoder.
        """
        with damage_explained(self.path / MANIFEST):
            if self.manifest.encoder is None:
                raise ValueError("It names no encoder.")
            return self.manifest.encoder

    def encoder_on(self, device: str) -> ModelSpec:
        """Return the encoder of its documents on another device.

        Raises:
            InputError: the manifest names no encoder.
            MissingModel: the device or the model is missing.
        """
        return self.encoder.on(device, self.settings.dtype, self.settings.batch_tokens)

    def vectors(
        self, threads: int, search_parameters: str | None = None, device: str = "cpu"
    ) -> DenseIndex:
        """Open the vectors of the documents.

        Args:
            threads: CPU threads.
            search_parameters: of an approximate index.
            device: that searches an exact one.

        Raises:
            InputError: they are damaged, or their number is not that of the documents.
        """
        from hnmine.index.dense_index import DenseIndex  # It imports FAISS; few readers need it.

        count = len(self.documents.canonical)
        similarity = self.encoder.similarity
        return DenseIndex(self.paths.dense, threads, search_parameters, count, similarity, device)
