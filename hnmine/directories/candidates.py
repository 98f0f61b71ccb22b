"""The reader of a candidates directory."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hnmine import schema
from hnmine.array_files import check_values
from hnmine.directories.finished import Finished
from hnmine.directories.index import Index
from hnmine.directories.manifest_files import place_named
from hnmine.directories.manifests import CandidatesManifest, sources_of
from hnmine.directories.parts import read_part, rows_of
from hnmine.directories.queries import Queries
from hnmine.errors import InputError, damage_explained
from hnmine.inputs.texts import Texts
from hnmine.ragged import Ints
from hnmine.schema import CandidatePaths


class Candidates(Finished[CandidatesManifest]):
    """Candidates, their queries, and the index that they were mined from."""

    def __init__(self, path: Path, index: Path | None = None) -> None:
        """Open the directory and its index.

        Args:
            path: what `hnmine mine` wrote.
            index: the index's path now; None for its path when the candidates were mined.

        Raises:
            InputError: either is missing, unfinished or damaged, or the index is another one.
        """
        super().__init__(path, CandidatesManifest)
        self.paths = CandidatePaths(path)
        self.index = self.open_origin("index", index, Index)

    @property
    def previous(self) -> Path | None:
        """The mined directory of `mine --previous`; None without one."""
        return place_named(self.path, "previous")

    @property
    def sources(self) -> list[str]:
        """The sources that found the candidates, by the beginning of their columns' names."""
        return sources_of(self.manifest.recorded)

    @property
    def reach(self) -> dict[str, int]:
        """By source: the candidates that a query's scores are compared with; empty for all."""
        return {}

    @property
    def has_dense_scores(self) -> bool:
        """Whether an encoder scored every candidate."""
        return "dense" in self.manifest.scores

    @cached_property
    def queries(self) -> Queries:
        """The queries and their positives."""
        return Queries(self.paths.queries, self.index.documents)

    @cached_property
    def queries_as_documents(self) -> Ints:
        """For each query the document with the same text, or -1, shape (queries,)."""
        return self.queries.texts.rows_in(self.index.documents)

    @property
    def mined(self) -> Ints:
        """The rows of the queries that candidates were mined for."""
        return self.queries.mined

    @cached_property
    def parts(self) -> list[Path]:
        """The files of the candidate table, in order."""
        parts = sorted(self.paths.candidates.glob("*.parquet"))
        blocks = -(-len(self.mined) // self.manifest.settings.block_size)
        if [part.stem for part in parts] != [f"{n:05d}" for n in range(blocks)]:
            raise InputError(
                f"{self.path} is damaged.",
                why=f"It holds {len(parts):,} of {blocks:,} parts of the candidates.",
                fix="Run the same `hnmine mine` again: it writes the missing parts.",
            )
        return parts

    @cached_property
    def part_rows(self) -> list[int]:
        """The number of rows of each part."""
        return [rows_of(part) for part in self.parts]

    def read(self, part: int, columns: list[str] | None = None) -> pa.Table:
        """Read one part."""
        needed = [name for name in schema.CANDIDATES.names if name not in schema.LATER]
        table = read_part(self.parts[part], columns, needed)
        for name in schema.LATER:
            if columns is None and name not in table.column_names:
                nothing = pa.nulls(table.num_rows, schema.CANDIDATES.field(name).type)
                table = table.append_column(schema.CANDIDATES.field(name), nothing)
        with damage_explained(self.parts[part]):
            for name, texts in self._rows_of.items():
                if name in table.column_names:
                    rows = table[name].to_numpy()
                    check_values(rows, low=0, below=len(texts), ascending=name == "query_row")
        return table

    @property
    def _rows_of(self) -> dict[str, Texts]:
        """By column of row numbers: the texts that they number."""
        return {"query_row": self.queries.texts, "doc_row": self.index.documents}


def write_candidates(table: pa.Table, path: Path) -> None:
    """Write rows of candidates, which may have scores and verdicts.

    Dictionaries are left out for numbers and document ids, which seldom repeat: they would double
    the time and add 40 % to the size.
    """
    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    repeated = [name for name in strings if name != "doc_id"]
    pq.write_table(table, path, compression="zstd", use_dictionary=repeated)
