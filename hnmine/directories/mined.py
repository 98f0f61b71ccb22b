"""A mined directory, opened: its tables, and the candidates that it was filtered from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from hnmine import schema
from hnmine.directories.candidates import Candidates
from hnmine.directories.manifests import known_manifest, place_named
from hnmine.directories.parts import check_types, read_part, scored_parts
from hnmine.errors import InputError, damage_explained
from hnmine.names import sources_of
from hnmine.runner.manifest import RUN
from hnmine.runner.plan import digest

NEEDED = ("query_id", "doc_id", "is_query", *schema.VERDICTS.names)
"""Columns of scored/ that its readers need."""


class Mined:
    """What every reader of a mined directory needs."""

    def __init__(
        self, path: Path, candidates: Path | None = None, index: Path | None = None
    ) -> None:
        """Open the directory.

        Args:
            path: what `hnmine filter` wrote.
            candidates: where the candidates are now; by default where they were.
            index: where the index is now; by default where it was.

        Raises:
            InputError: it is missing, damaged or not finished.
        """
        self.path = path
        self.manifest: dict[str, Any] = known_manifest(path, "mined")
        self._candidates, self._index = candidates, index

    @property
    def hash(self) -> str:
        """Hash of the manifest; the plans of what is made from this directory hold it."""
        return digest(self.manifest)

    @cached_property
    def candidates(self) -> Candidates:
        """The candidates that it was filtered from.

        Raises:
            InputError: they are gone, or are others.
        """
        where = self._candidates or place_named(self.path, "candidates")
        if where is None:
            raise InputError(
                f"{self.path / RUN} does not say which candidates {self.path} is from.",
                fix="Give them with --candidates.",
            )
        candidates = Candidates(where, self._index)
        if candidates.hash != self.manifest.get("candidates"):
            raise InputError(
                f"The candidates at {where} are not those that {self.path} was filtered from.",
                why="Their manifest has another hash.",
                fix="Give the right ones with --candidates, or filter again.",
            )
        return candidates

    @property
    def sources(self) -> list[str]:
        """The sources that found the candidates, by what their columns begin with."""
        recorded = "sources" in self.manifest
        return sources_of(self.manifest) if recorded else self.candidates.sources

    @property
    def parts(self) -> list[Path]:
        """The files of scored/, in order."""
        return scored_parts(self.path)

    @property
    def rows(self) -> int:
        """Rows of scored/."""
        counts: dict[str, int] = self.manifest["counts"]
        return counts["positives"] + counts["candidates"]

    def scored(self) -> Iterator[pa.Table]:
        """Stream scored/ part by part; all rows of a query stand together.

        Raises:
            InputError: a part is damaged, or of a version that did not write all columns yet.
        """
        for part in self.parts:
            table = read_part(part)
            if "place" not in table.column_names:
                raise InputError(
                    f"{part} has no column 'place'.",
                    why="An earlier hnmine wrote it.",
                    fix="Filter again, into a new directory: no model is run for that.",
                )
            with damage_explained(part):
                check_types(table.schema, NEEDED)
            yield table
