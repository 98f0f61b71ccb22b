"""The reader of a mined directory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hnmine import schema
from hnmine.directories.candidates import Candidates
from hnmine.directories.finished import Finished
from hnmine.directories.manifests import MinedManifest, sources_of
from hnmine.directories.parts import read_columns, read_part
from hnmine.directories.scored_view import ScoredView
from hnmine.errors import HnmineError, InputError, damage_explained
from hnmine.printable import shortened

NEEDED = ("query_id", "doc_id", "is_query", *schema.VERDICTS.names)
"""Columns of scored/ that exports need."""

QUERY_CHARACTERS = 4000

MEMORY = "2GB"
"""DuckDB writes to a temporary folder what needs more."""


class Mined(Finished[MinedManifest]):
    """A mined directory: its tables, and the candidates that it was filtered from."""

    def __init__(
        self, path: Path, candidates: Path | None = None, index: Path | None = None
    ) -> None:
        """Open the directory; candidates and index are opened when they are first needed.

        Args:
            path: what `hnmine filter` wrote.
            candidates: the candidates' path now; None for their path at `hnmine filter`.
            index: the index's path now; None for its path at `hnmine mine`.

        Raises:
            InputError: the directory is missing, unfinished or damaged.
        """
        super().__init__(path, MinedManifest)
        self._candidates, self._index = candidates, index

    @cached_property
    def candidates(self) -> Candidates:
        """The candidates that it was filtered from.

        Raises:
            InputError: they are missing, or others.
        """
        return self.open_origin(
            "candidates", self._candidates, lambda path: Candidates(path, self._index)
        )

    @cached_property
    def _texts(self) -> tuple[Candidates | None, str]:
        try:
            return self.candidates, ""
        except HnmineError as error:
            if self._candidates or self._index:
                raise
            return None, error.what

    @property
    def texts(self) -> Candidates | None:
        """The candidates, which hold the texts; None if they cannot be opened.

        Raises:
            InputError: the user named the candidates or the index, and one of them is wrong.
        """
        return self._texts[0]

    @property
    def no_texts(self) -> str:
        """Why the texts cannot be read; empty if they can."""
        return self._texts[1]

    def document_text(self, doc_id: str, characters: int) -> str | None:
        """Return the beginning of a document on one line; None if it cannot be read."""
        if self.texts is None:
            return None
        documents = self.texts.index.documents
        return shortened(documents.texts(documents.find_ids([doc_id]))[0], characters)

    def query_text(self, query_id: str) -> str | None:
        """Return the beginning of a query on one line; None if it cannot be read."""
        if self.texts is None:
            return None
        queries = self.texts.queries.texts
        return shortened(queries.texts(queries.find_ids([query_id]))[0], QUERY_CHARACTERS)

    @property
    def sources(self) -> list[str]:
        """The sources that found the candidates, by the beginning of their columns' names."""
        recorded = self.manifest.recorded
        if "sources" in recorded or self.texts is None:
            return sources_of(recorded)
        return self.texts.sources  # Early versions list them there alone.

    @property
    def parts(self) -> list[Path]:
        """The files of scored/, in order.

        Raises:
            InputError: there is none.
        """
        parts = sorted((self.path / "scored").glob("*.parquet"))
        if not parts:
            raise InputError(
                f"{self.path} is damaged.",
                why="It has no file in scored/.",
                fix="Run the same `hnmine filter` again: it writes the missing files.",
            )
        return parts

    @property
    def train(self) -> list[Path]:
        """The files of train/, in order."""
        return sorted((self.path / "train").glob("*.parquet"))

    @property
    def rows(self) -> int:
        """The number of rows of scored/."""
        counts = self.manifest.counts
        return counts["positives"] + counts["candidates"]

    def read(self, columns: Sequence[str], also: Collection[str] = ()) -> Iterator[pa.Table]:
        """Yield scored/ part by part; all rows of a query stand together.

        Args:
            columns: to read.
            also: columns to read if they are there; with them, columns are in their order there.

        Raises:
            InputError: a part is damaged, or lacks a column.
        """
        for part in self.parts:
            yield read_columns(part, columns, also) if also else read_part(part, columns)

    def scored(
        self, also: Callable[[list[str]], Collection[str]] = lambda names: ()
    ) -> Iterator[pa.Table]:
        """Yield scored/ part by part, with the columns that every export needs.

        Args:
            also: returns further ones, of those there are.

        Raises:
            InputError: a part is damaged, or an earlier version wrote it without all columns.
        """
        for part in self.parts:
            with damage_explained(part):
                names = pq.read_schema(part).names
            if "place" not in names:
                raise InputError(
                    f"{part} has no column 'place'.",
                    why="An earlier version of hnmine wrote it.",
                    fix="Filter again, into a new directory; that loads no model.",
                )
            yield read_columns(part, NEEDED, also(names))

    def shortfall(self) -> pa.Table:
        """Return the queries that got fewer negatives than asked, as `schema.SHORTFALL`."""
        file = self.path / "shortfall.parquet"
        return read_part(file, ["reason", "asked", "found"], known=schema.SHORTFALL)

    @contextmanager
    def sql(self, threads: int) -> Iterator[ScoredView]:
        """Open scored/ as an SQL table.

        Args:
            threads: for DuckDB.

        Raises:
            InputError: a part is damaged, or lacks a column.
        """
        with tempfile.TemporaryDirectory(prefix="hnmine-") as temporary:
            connection = duckdb.connect(
                config={"threads": threads, "memory_limit": MEMORY, "temp_directory": temporary}
            )
            connection.execute("set enable_external_access = false")
            try:
                yield ScoredView(self, connection)
            finally:
                connection.close()
