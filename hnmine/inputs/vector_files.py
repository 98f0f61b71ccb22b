"""Vectors that any encoder made, from files: streamed, checked, and never all in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.errors import HnmineError, InputError, first_line
from hnmine.inputs.columns import CONVENTIONS
from hnmine.inputs.data_files import DataFile
from hnmine.inputs.formats import READABLE
from hnmine.inputs.formats.text import ending
from hnmine.inputs.table_reader import content_hash
from hnmine.inputs.unchanged import Unchanged
from hnmine.inputs.values import as_strings, is_list
from hnmine.inputs.vector_arrays import VectorArray, in_order, open_npy, open_safetensors
from hnmine.runner.storage import fetch_input

ARRAYS = {".npy": open_npy, ".safetensors": open_safetensors}
VECTORS_NAMED = ("vector", "vectors", "embedding", "embeddings", "emb")
AT_ONCE = 1 << 22
"""Numbers in memory at once."""

Vectors = NDArray[np.float32]
Block = tuple[list[str] | None, Vectors]
"""Ids, or None where the order of the rows counts, and vectors, shape (n, dimension)."""

HOW = (
    "Pass a .npy or safetensors file with one matrix of floats, a folder of numbered ones, or "
    "Parquet with a column of ids and one of lists of floats."
)


class VectorSource(ABC):
    """The vectors of documents or of queries in files.

    Attributes:
        path: as the user gave it.
        dimension: of each vector.
        rows: number of vectors.
        by_id: whether each has an id; else the order counts.
    """

    path: str
    dimension: int
    rows: int
    by_id: bool

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Stream the vectors.

        Raises:
            InputError: one is not finite, or of another dimension, or the file changed.
        """

    @property
    @abstractmethod
    def contents(self) -> list[Unchanged]:
        """The files."""

    @cached_property
    def content(self) -> str:
        """A hash of the content of all files."""
        return content_hash(self.contents)


def open_vectors(path: str, table: str, columns: Mapping[str, str]) -> VectorSource:
    """Open vectors; arrays are not read yet.

    Args:
        path: a file or a folder.
        table: `corpus` or `queries`: the usual names of the column of ids.
        columns: given by the user for `id` and `vector`.

    Raises:
        InputError: nothing is there, or it holds no vectors.
    """
    place = fetch_input(path)
    with _explained(place):
        if not path.strip() or not place.exists():
            raise ValueError("There is no such file or folder.")
        inside = sorted(place.iterdir()) if place.is_dir() else [place]
        files = [file for file in inside if file.suffix in ARRAYS and file.name[0] not in "._"]
        if len(kinds := {file.suffix for file in files}) > 1:
            raise ValueError(f"It holds files of several kinds: {', '.join(sorted(kinds))}.")
        if not files and place.is_file() and ending(place) not in READABLE:
            raise ValueError(f"Files that end in {place.suffix or 'nothing'} are not read.")
    if files:
        return _Arrays(path, in_order(path, files))
    return _Table(path, table, columns)


@contextmanager
def _explained(path: Path | str) -> Iterator[None]:
    """Turn what a reader throws at a file of vectors into an error that names the file."""
    try:
        yield
    except HnmineError:
        raise
    except (ValueError, OSError, OverflowError, SyntaxError, RecursionError) as error:
        raise InputError(
            f"Cannot read the vectors in {path}.", why=first_line(error), fix=HOW
        ) from error


def check_block(vectors: Vectors, path: Path | str, start: int) -> None:
    """Refuse vectors that are not finite.

    Raises:
        InputError: naming the first one.
    """
    good: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
    if not good.all():
        raise InputError(
            f"{path}: {np.count_nonzero(~good):,} of {len(good):,} vectors are not finite; the "
            f"first is row {start + int(good.argmin()):,}.",
            why="They hold NaN, infinity, or a number that float32 cannot hold.",
            fix="Encode those rows again, in fp32.",
        )


class _Arrays(VectorSource):
    """Vectors in arrays, one file after the other."""

    def __init__(self, path: str, files: list[Path]) -> None:
        self.path, self._arrays = path, []
        self._contents = [Unchanged(file) for file in files]
        for file in files:
            with _explained(file):
                self._arrays.append(ARRAYS[file.suffix](file))
        first = self._arrays[0]
        self.dimension, self.by_id = first.values.shape[1], first.ids is not None
        self.rows = sum(len(array.values) for array in self._arrays)
        for array in self._arrays:
            _check_dimension(array.path, array.values.shape[1], self.dimension, first.path)
            if (array.ids is not None) != self.by_id:
                raise InputError(
                    f"Some files of {path} have ids and others none.",
                    fix="Write ids in all of them, or in none.",
                )

    @property
    def contents(self) -> list[Unchanged]:
        return self._contents

    def blocks(self) -> Iterator[Block]:
        step = max(1, AT_ONCE // self.dimension)
        with ExitStack() as unchanged:
            for content in self._contents:
                unchanged.enter_context(content.reading())
            for array in self._arrays:
                for start in range(0, len(array.values), step):
                    yield self._block(array, start, start + step)

    def _block(self, array: VectorArray, start: int, stop: int) -> Block:
        vectors = array.read(start, stop)
        check_block(vectors, array.path, start)
        ids = None if array.ids is None else list(map(str, array.ids[start:stop].tolist()))
        return ids, vectors


class _Table(VectorSource):
    """Vectors in a column of lists, each row with an id."""

    by_id = True

    def __init__(self, path: str, table: str, columns: Mapping[str, str]) -> None:
        self.path = path
        self._files = DataFile.open_all(path)
        types = {name: kinds for file in self._files for name, kinds in file.types.items()}
        self._id, self._vector = _columns(path, types, table, columns)
        self.rows = sum(file.count_rows() for file in self._files)
        first = next(self._read(), None)
        if first is None:
            raise InputError(f"{path} has no rows.", fix="Check the path.")
        self.dimension = first[1].shape[1]

    @property
    def contents(self) -> list[Unchanged]:
        return [content for file in self._files for content in file.contents]

    def blocks(self) -> Iterator[Block]:
        start = 0
        for ids, vectors in self._read():
            _check_dimension(self.path, vectors.shape[1], self.dimension, f"row {start:,}")
            check_block(vectors, self.path, start)
            start += len(vectors)
            yield ids, vectors

    def _read(self) -> Iterator[Block]:
        for file in self._files:
            start = 0
            for batch in file.batches([self._id, self._vector]):
                with _explained(file.path):
                    if gone := {self._id, self._vector} - {*batch.schema.names}:
                        raise ValueError(f"It has no column {min(gone)!r}.")
                    lists = _lists(batch[self._vector])
                step = max(1, AT_ONCE // _first_length(lists))
                for first in range(0, batch.num_rows, step):
                    ids = batch[self._id].slice(first, step)
                    ids = as_strings(ids, self._id, str(file.path))
                    with _explained(f"{file.path}, rows from {start:,}"):
                        if ids.null_count:
                            raise ValueError("A row has no id.")
                        yield ids.to_pylist(), _matrix(lists.slice(first, step))
                    start += len(ids)


def _check_dimension(where: object, found: int, expected: int, other: object) -> None:
    if found != expected:
        raise InputError(
            f"{where}: its vectors have {found:,} dimensions, those before {expected:,}.",
            why=f"The first difference is at {other}.",
            fix="Encode everything with one encoder.",
        )


def _columns(
    path: str, types: Mapping[str, list[pa.DataType]], table: str, given: Mapping[str, str]
) -> tuple[str, str]:
    if unknown := given.keys() - {"id", "vector"}:
        raise InputError(
            f"Vectors have no column {sorted(unknown)[0]!r}.", fix="Name their id and vector."
        )
    lists = [name for name, kinds in types.items() if all(map(_holds_lists, kinds))]
    usual = [name for name in lists if name.lower() in VECTORS_NAMED]
    ids = [name for name in CONVENTIONS[table]["id"] if name in types]
    vectors = lists if len(lists) == 1 else usual
    found = {"id": ids[:1], "vector": vectors if len(vectors) == 1 else []}
    for role in found:
        if role in given:
            found[role] = [given[role]] if given[role] in types else []
        if not found[role]:
            raise InputError(
                f"{path} has no column for the {role} of vectors.",
                why=f"Its columns are {', '.join(f'{n} ({k[0]})' for n, k in types.items())}.",
                fix=f"Name it with --column vectors.{role}=NAME."
                + " The vector is a list of floats." * (role == "vector"),
            )
    return found["id"][0], found["vector"][0]


def _holds_lists(kind: pa.DataType) -> bool:
    return is_list(kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind)


def _lists(column: pa.Array) -> pa.Array:
    """Return the lists of a column, such as those that tensors of one dimension are stored as.

    Raises:
        ValueError: it holds something else.
    """
    kind = column.type
    if isinstance(kind, pa.FixedShapeTensorType) and len(kind.shape) != 1:
        raise ValueError(f"Its tensors have the shape {kind.shape}; vectors have one dimension.")
    lists = column.storage if isinstance(kind, pa.BaseExtensionType) else column
    if not _holds_lists(kind):
        raise ValueError(f"The column of vectors holds {kind}, not lists of floats.")
    return lists


def _first_length(column: pa.Array) -> int:
    lengths = pc.list_value_length(column.slice(0, 1)).to_pylist() if len(column) else []
    return max(1, lengths[0] or 1) if lengths else 1


def _matrix(column: pa.Array) -> Vectors:
    """Return lists of floats as a matrix.

    Raises:
        ValueError: a vector or a number is null, no float, or the lengths differ.
    """
    if column.null_count:
        raise ValueError(f"{column.null_count:,} rows have no vector.")
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1:
        raise ValueError(f"Vectors have different lengths, such as {lengths[0]} and {lengths[1]}.")
    values = pc.list_flatten(column)
    if not lengths[0]:
        raise ValueError("A vector is empty.")
    if values.null_count:
        raise ValueError(f"{values.null_count:,} numbers of vectors are null.")
    if not pa.types.is_floating(values.type):
        raise ValueError(f"The lists hold {values.type}, not floats.")
    with np.errstate(over="ignore"):
        numbers = values.to_numpy(zero_copy_only=False).astype(np.float32)
    return numbers.reshape(len(column), lengths[0])
