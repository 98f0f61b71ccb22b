"""Vectors from files: joined with documents or queries, and written in shards as an encoder's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hnmine.config.reading_options import InputSettings
from hnmine.encode.declared import Similarity
from hnmine.encode.interface import as_compared
from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError, UsageError
from hnmine.index.stored import Vectors
from hnmine.inputs.bad_rows import BadRows
from hnmine.inputs.records import TextBatch
from hnmine.inputs.texts import Texts
from hnmine.inputs.vector_files import VectorSource, open_vectors
from hnmine.ragged import Ints
from hnmine.runner import incidents

ALL_ZEROS = "with a vector of zeros"
OPEN_FILES, SHOWN = 64, 5
ALIKE = 0.999
"""Cosine of two vectors of one text, at least, if one encoder made both."""

Tick = Callable[[int], None]


def open_given(path: str | None, settings: InputSettings, table: str) -> VectorSource | None:
    """Open the vectors that a setting names; None if it names none.

    Args:
        path: of the setting.
        settings: the names of columns.
        table: `corpus` or `queries`.
    """
    return open_vectors(path, table, settings.columns("vectors")) if path else None


def spec_of(
    source: VectorSource, similarity: Similarity | None, truncate_dim: int | None
) -> ModelSpec:
    """Return what records vectors from files as an encoder does: by the content of the files.

    Raises:
        UsageError: they have fewer dimensions than `truncate_dim`.
    """
    if truncate_dim and truncate_dim > source.dimension:
        raise UsageError(
            f"--truncate-dim {truncate_dim:,} is more than the vectors in {source.path} have.",
            why=f"They have {source.dimension:,} dimensions.",
            fix="Keep fewer, or leave --truncate-dim out.",
        )
    return ModelSpec.of_files(source.content, similarity or "cosine", truncate_dim)


class GivenVectors:
    """Vectors from files for some texts.

    Args:
        source: the vectors.
        spec: how they are compared.
        texts: with all ids.
        wanted: rows of the texts that need a vector, ascending; each its own identity.
        what: a text is: `document` or `query`.
        complete: whether every row needs a vector, not only the wanted ones.
        in_order: streams the ids of the input's rows, for vectors without ids.
    """

    def __init__(
        self,
        source: VectorSource,
        spec: ModelSpec,
        texts: Texts,
        wanted: Ints,
        what: str,
        *,
        complete: bool,
        in_order: Callable[[BadRows], Iterable[TextBatch]],
    ) -> None:
        self._source, self._spec, self._texts = source, spec, texts
        self._wanted, self._what = wanted, what
        self._required = np.arange(len(texts)) if complete else wanted
        self._in_order = in_order

    def write(
        self, outputs: Sequence[Path], shard_rows: int, bad: BadRows, tick: Tick
    ) -> dict[str, int]:
        """Write the vectors of the wanted rows, float32, a file for each shard of them.

        Raises:
            InputError: an id is missing, doubled or unknown, or the rows are not as many as those
                of the input.
        """
        dimension = self._spec.truncate_dim or self._source.dimension
        empty = 0
        with _Shards(outputs, shard_rows, len(self._wanted), dimension) as shards:
            for rows, vectors in self._checked():
                places, there = self._places(rows)
                compared = as_compared(vectors[there], self._spec)
                zeros = rows[there][~compared.any(axis=1)]
                for name in self._texts.id_array(zeros).to_pylist():
                    bad.add(ALL_ZEROS, f"{self._what} {name!r}")
                empty += len(zeros)
                shards.write(places[there], compared)
                tick(int(there.sum()))
            bad.settle()
        if len(self._texts.canonical) < len(self._texts):
            self._compare_copies(outputs, shard_rows)
        return {"vectors": len(self._wanted) - empty}

    def _places(self, rows: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the place of each row among the wanted ones, and whether it is one of them."""
        places = np.searchsorted(self._wanted, rows)
        found = self._wanted[np.minimum(places, len(self._wanted) - 1)] == rows
        return places, found

    def _rows(self) -> Iterator[tuple[Ints, Vectors, list[str]]]:
        """Stream the row of each vector, -1 where its id is unknown, and the ids."""
        if self._source.by_id:
            for ids, vectors in self._source.blocks():
                assert ids is not None
                yield self._texts.find_ids(ids), vectors, ids
            return
        rows, start = self._ordered, 0
        for _, vectors in self._source.blocks():
            yield rows[start : start + len(vectors)], vectors, []
            start += len(vectors)

    @cached_property
    def _ordered(self) -> Ints:
        """The row of each vector in the order of the input."""
        skipped = BadRows("skip")
        found = [self._texts.find_ids(batch.ids) for batch in self._in_order(skipped)]
        rows = np.concatenate([np.empty(0, np.int64), *found])
        left_out = skipped.counts.total() + int((rows < 0).sum())
        if len(rows) != self._source.rows or left_out:
            why = "Vectors without ids go by the order of the rows."
            if left_out:
                why += f" {left_out:,} further rows of the input are left out."
            raise InputError(
                f"{self._source.path} holds {self._source.rows:,} vectors, and the input "
                f"{len(rows):,} rows with a {self._what}.",
                why=why,
                fix="Write one vector for each row, in their order, or a Parquet file with ids.",
            )
        # A row that only repeats an earlier one has its vector, too.
        _, first = np.unique(rows, return_index=True)
        again = np.ones(len(rows), dtype=bool)
        again[first] = False
        return np.where(again, -2, rows)

    def _checked(self) -> Iterator[tuple[Ints, Vectors]]:
        """Stream known rows and their vectors; refuse other ids at the end."""
        seen = np.zeros(len(self._texts), dtype=bool)
        doubled, unknown = _Named(), _Named()
        for rows, vectors, ids in self._rows():
            known = rows >= 0
            if ids:
                unknown.add([ids[place] for place in np.flatnonzero(~known)])
                once = np.zeros(len(rows), dtype=bool)
                once[np.unique(rows, return_index=True)[1]] = True
                once &= known
                once[known] &= ~seen[rows[known]]
                doubled.add([ids[place] for place in np.flatnonzero(known & ~once)])
                known = once
            seen[rows[known]] = True
            yield rows[known], vectors[known]
        lacking = self._required[~seen[self._required]]
        missing = _Named(len(lacking), self._texts.id_array(lacking[:SHOWN]).to_pylist())
        self._refuse(missing, doubled, unknown)

    def _refuse(self, missing: _Named, doubled: _Named, unknown: _Named) -> None:
        said = [
            f"{missing.count:,} of {len(self._required):,} have no vector: {missing}",
            f"{doubled.count:,} vectors repeat an id: {doubled}",
            f"{unknown.count:,} vectors have an id that no {self._what} has: {unknown}",
        ]
        faults = (missing, doubled, unknown)
        if lines := [line for line, fault in zip(said, faults, strict=True) if fault.count]:
            raise InputError(
                f"The vectors in {self._source.path} do not fit the {self._what}s.",
                why="\n".join(lines),
                fix=f"Write one vector for each {self._what}, with its id."
                + " Positives that the corpus lacks are documents, too." * (missing.count > 0),
            )

    def _compare_copies(self, outputs: Sequence[Path], shard_rows: int) -> None:
        """Note texts that are the same, with vectors that are not: of images, a caption."""
        shards = [np.load(output, mmap_mode="r", allow_pickle=False) for output in outputs]
        others = _Named()
        for rows, vectors, _ in self._rows():
            copy = rows >= 0
            copy[copy] = self._texts.identity[rows[copy]] != rows[copy]
            places, there = self._places(self._texts.identity[rows[copy]])
            rows, vectors = rows[copy][there], as_compared(vectors[copy][there], self._spec)
            for row, vector, place in zip(rows, vectors, places[there], strict=True):
                kept = shards[place // shard_rows][place % shard_rows]
                lengths = float(np.linalg.norm(kept)) * float(np.linalg.norm(vector))
                if float(kept @ vector) < ALIKE * lengths:
                    others.add(self._texts.id_array(np.array([row])).to_pylist())
        if others.count:
            incidents.note(
                f"{self._source.path}: {others.count:,} {self._what} vectors differ from that of "
                f"the first {self._what} with the same text, which is used: {others}. Equal texts "
                f"count as one {self._what}; images need a text of their own, such as their path."
            )


class _Named:
    """A count of ids, and the first of them to show."""

    def __init__(self, count: int = 0, shown: Sequence[str] = ()) -> None:
        self.count, self._shown = count, list(shown)

    def add(self, ids: Sequence[str]) -> None:
        self.count += len(ids)
        self._shown += ids[: max(0, SHOWN - len(self._shown))]

    def __str__(self) -> str:
        more = ", …" if self.count > len(self._shown) else ""
        return ", ".join(map(repr, self._shown)) + more


class _Shards:
    """Files of vectors whose rows come in any order.

    They are written, not mapped: on a full disk, a mapped write ends the process.
    """

    def __init__(self, paths: Sequence[Path], rows: int, total: int, dimension: int) -> None:
        self._paths, self._rows, self._dimension = paths, rows, dimension
        self._start = 0
        for number, path in enumerate(paths):
            shape = (min(rows, total - number * rows), dimension)
            about = {"descr": "<f4", "fortran_order": False, "shape": shape}
            with path.open("wb") as file:
                npy.write_array_header_1_0(file, about)
                self._start = file.tell()
                file.truncate(self._start + shape[0] * dimension * 4)
        self._files: dict[int, BinaryIO] = {}

    def _open(self, number: int) -> BinaryIO:
        if number not in self._files:
            if len(self._files) >= OPEN_FILES:
                self._files.pop(next(iter(self._files))).close()
            self._files[number] = self._paths[number].open("r+b")
        return self._files[number]

    def write(self, places: Ints, vectors: Vectors) -> None:
        """Write vectors to their places, whole runs of neighbours at once."""
        order = np.argsort(places, kind="stable")
        places, vectors = places[order], vectors[order]
        shards = places // self._rows
        ends = np.flatnonzero((np.diff(places) != 1) | (np.diff(shards) != 0)) + 1
        for run in np.split(np.arange(len(places)), ends):
            if not len(run):
                continue
            number = int(shards[run[0]])
            file, row = self._open(number), int(places[run[0]]) - number * self._rows
            file.seek(self._start + row * self._dimension * 4)
            file.write(np.ascontiguousarray(vectors[run], dtype="<f4").tobytes())

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files.values():
            file.close()
