"""A candidates directory, opened: its parts, its queries and its index."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hnmine import schema
from hnmine.array_files import check_values
from hnmine.directories.index import Index
from hnmine.directories.manifests import known_manifest, place_named
from hnmine.directories.parts import read_part
from hnmine.directories.queries import Queries
from hnmine.errors import InputError, damage_explained
from hnmine.inputs.texts import Texts
from hnmine.names import sources_of
from hnmine.runner.manifest import RUN
from hnmine.runner.plan import digest
from hnmine.schema import CandidatePaths


class Candidates:
    """What every reader of a candidates directory needs."""

    def __init__(self, path: Path, index: Path | None = None) -> None:
        """Open the directory and the index that it was mined from.

        Args:
            path: what `hnmine mine` wrote.
            index: where the index is now; by default where it was when the candidates were mined.

        Raises:
            InputError: either is missing, or the index is another one.
        """
        self.path, self.paths = path, CandidatePaths(path)
        self.manifest: dict[str, Any] = known_manifest(path, "candidates")
        where = index or self._mined_from()
        self.index = Index(where)
        if self.index.hash != self.manifest.get("index"):
            raise InputError(
                f"The index at {where} is not the one that {path} was mined from.",
                why="Its manifest has another hash.",
                fix="Give the right one with --index, or mine again.",
            )

    @property
    def hash(self) -> str:
        """Hash of the manifest; the plans of what is made from these candidates hold it."""
        return digest(self.manifest)

    @property
    def sources(self) -> list[str]:
        """The sources that found the candidates, by what their columns begin with."""
        return sources_of(self.manifest)

    @cached_property
    def queries(self) -> Queries:
        """The queries and their positives."""
        return Queries(self.paths.queries, self.index.documents)

    @cached_property
    def queries_as_documents(self) -> NDArray[np.int64]:
        """For each query the document whose text is the same, or -1, shape (queries,)."""
        return self.queries.texts.rows_in(self.index.documents)

    @property
    def mined(self) -> NDArray[np.int64]:
        """The rows of the queries that candidates were mined for."""
        return self.queries.mined

    @cached_property
    def parts(self) -> list[Path]:
        """The files of the candidate table, in order."""
        parts = sorted(self.paths.candidates.glob("*.parquet"))
        blocks = -(-len(self.mined) // self.manifest["settings"]["block_size"])
        if [part.stem for part in parts] != [f"{n:05d}" for n in range(blocks)]:
            raise InputError(
                f"{self.path} is damaged.",
                why=f"It holds {len(parts):,} of {blocks:,} parts of the candidates.",
                fix="Run the same `hnmine mine` again: it makes anew what is missing.",
            )
        return parts

    @cached_property
    def part_rows(self) -> list[int]:
        """The number of rows of each part."""
        rows = []
        for part in self.parts:
            with damage_explained(part):
                rows.append(pq.read_metadata(part).num_rows)
        return rows

    def read(self, part: int, columns: list[str] | None = None) -> pa.Table:
        """Read one part."""
        table = read_part(self.parts[part], columns, schema.CANDIDATES.names)
        with damage_explained(self.parts[part]):
            for name, texts in self._rows_of.items():
                if name in table.column_names:
                    rows = table[name].to_numpy()
                    check_values(rows, low=0, below=len(texts), ascending=name == "query_row")
        return table

    @property
    def _rows_of(self) -> dict[str, Texts]:
        """What the rows in a column are of."""
        return {"query_row": self.queries.texts, "doc_row": self.index.documents}

    def _mined_from(self) -> Path:
        """Return where the index was when the candidates were mined."""
        place = place_named(self.path, "index")
        if place is None:
            raise InputError(
                f"{self.path / RUN} does not say which index {self.path} was mined from.",
                why="It is missing or damaged.",
                fix="Give it with --index.",
            )
        return place


def write_candidates(table: pa.Table, path: Path) -> None:
    """Write rows of candidates, which may have scores and verdicts.

    Numbers and documents hardly repeat among them: dictionaries of these would double the time and
    add two fifths to the size.
    """
    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    repeated = [name for name in strings if name != "doc_id"]
    pq.write_table(table, path, compression="zstd", use_dictionary=repeated)
