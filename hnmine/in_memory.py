"""Tables and models in memory, where a setting names a file: written to a folder first.

The plan of a run holds inputs and models by content, so such a run resumes as any other.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeGuard

from hnmine.config import Settings
from hnmine.config.setting import about
from hnmine.errors import HnmineError, UsageError, first_line
from hnmine.runner.urls import cache

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 16384
"""Rows of a batch that is written at once."""

MODEL, URL = "MODEL", "URL"
"""What the help shows for the value of a setting that names a model, or a server."""

_INDEX = re.compile(r"__index_level_\d+__")
"""The name that pandas gives to an index without a name."""


class ArrowStream(Protocol):
    """A table of Arrow, pandas, polars, DuckDB or any library with Arrow's C stream interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the stream as a capsule."""


class LoadedModel(Protocol):
    """A SentenceTransformer or a CrossEncoder."""

    def save_pretrained(self, path: str, *, create_model_card: bool) -> object:
        """Write the model to a folder."""


Tabular: TypeAlias = ArrowStream | Mapping[str, Sequence[object]] | Iterable[Mapping[str, object]]
"""A table in memory: Arrow, pandas, polars, `datasets.Dataset`, columns by name, or rows."""

Tables: TypeAlias = (
    ArrowStream
    | Mapping[str, Sequence[object]]
    | Iterable[str | PathLike[str] | ArrowStream | Mapping[str, object]]
)
"""A table in memory, or several tables and paths."""


def is_table(value: object) -> bool:
    """Tell whether a value is a table in memory rather than paths."""
    if value is None or isinstance(value, str | bytes | PathLike):
        return False
    if isinstance(value, list | tuple):
        return bool(value) and isinstance(value[0], Mapping)
    return hasattr(value, "__arrow_c_stream__") or isinstance(value, Iterable)


def is_loaded(value: object) -> TypeGuard[LoadedModel]:
    """Tell whether a value is a model in memory rather than its name."""
    return hasattr(value, "save_pretrained")


class OnDisk:
    """A temporary folder with the tables in memory that a function was given.

    Args:
        folder: that exists.
        models: folder for models, which later commands load again: the index names its encoder.
    """

    def __init__(self, folder: Path, models: Path | None = None) -> None:
        self.folder, self.models = folder, models
        self._names: dict[str, str] = {}

    def settings(self, kind: type[Settings], given: Mapping[str, object]) -> dict[str, object]:
        """Return settings with paths for tables, and folders for models."""
        result = dict(given)
        for name, value in given.items():
            field = kind.model_fields.get(name)
            shown = about(field).value if field else ""
            if field and shown == MODEL:
                result[name] = self._each(name, value, self.table_or_model)
            elif field and about(field).place and shown != URL:
                result[name] = self._each(name, value, self.table)
        return result

    def _each(self, name: str, value: object, write: Callable[[str, object], object]) -> object:
        """Write a value, or each item of a list of several."""
        if isinstance(value, list | tuple) and not is_table(value):
            return [write(f"{name}-{n}" if n else name, item) for n, item in enumerate(value)]
        return write(name, value)

    def table_or_model(self, name: str, value: object) -> object:
        """Return the folder of a model, the file of a table; another value unchanged."""
        if not is_loaded(value):
            return self.table(name, value)
        return str(keep_model(value, self.models or cache() / "models"))

    def table(self, name: str, value: object) -> object:
        """Return the file of a table; another value unchanged.

        Args:
            name: of the setting, after which the file is named.
            value: as it was given.

        Raises:
            UsageError: Arrow cannot hold it.
        """
        if not is_table(value):
            return value
        if name.endswith("vectors") and hasattr(value, "__array_interface__"):
            return self._array(name, value)
        path = self.folder / f"{name}.parquet"
        write_table(name, value, path)
        self._names[str(path)] = f"The table {name}"
        return str(path)

    def _array(self, name: str, value: object) -> str:
        import numpy as np

        path = self.folder / f"{name}.npy"
        with path.open("wb") as file:
            np.save(file, np.asarray(value), allow_pickle=False)
        self._names[str(path)] = f"The array {name}"
        return str(path)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Let errors name the tables instead of their files."""
        try:
            yield
        except HnmineError as error:
            parts = [error.what, error.why, error.fix]
            for path, name in self._names.items():
                parts = [part.replace(path, name) for part in parts]
            error.say(*parts)
            raise


@contextmanager
def on_disk(models: Path | None = None) -> Iterator[OnDisk]:
    """Yield a place for tables in memory; its files are removed at the end, whatever happens."""
    with TemporaryDirectory(prefix="hnmine-") as folder:
        place = OnDisk(Path(folder), models)
        with place.named():
            yield place


def write_table(name: str, table: object, path: Path) -> None:
    """Write a table in memory to a Parquet file.

    Args:
        name: of the table, for errors.
        table: see `Tabular`.
        path: of the file.

    Raises:
        UsageError: Arrow cannot hold it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batches = record_batches(table)
        first = next(batches, None)
        if first is None:
            raise UsageError(f"{name}: the table is empty.", fix="Pass a table with rows.")
        # Without Arrow's schema: readers then see plain types, without the metadata of pandas.
        with pq.ParquetWriter(path, first.schema, compression="zstd", store_schema=False) as file:
            for batch in chain([first], batches):
                file.write_batch(batch)
    except (pa.ArrowException, TypeError, AttributeError) as error:
        raise UsageError(
            f"{name}: {type(table).__name__} cannot be read as a table.",
            why=first_line(error),
            fix="Pass a datasets.Dataset, a data frame, an Arrow table, a dict of columns, or a "
            "list of dicts.",
        ) from error


def record_batches(table: object) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table in memory, without the unnamed index of a data frame."""
    import pyarrow as pa

    for batch in _batches(table):
        names = [name for name in batch.schema.names if not _INDEX.fullmatch(name)]
        columns = [_plain(batch[name]) for name in names]
        yield pa.RecordBatch.from_arrays(columns, names=names)


def _plain(column: pa.Array) -> pa.Array:
    """Return views as plain strings, which every version of Arrow writes."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if lists and pa.types.is_string_view(kind.value_type):
        return column.cast(pa.large_list(pa.large_string()))
    return column


def _batches(table: object) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if isinstance(table, Mapping):
        if any(hasattr(value, "column_names") for value in table.values()):
            splits = ", ".join(map(str, table))
            raise UsageError(
                f"This is a dictionary of several tables: {splits}.",
                fix="Pass one of them, such as dataset['train'].",
            )
        yield from pa.table(dict(table)).to_batches(ROWS)
    elif hasattr(table, "with_format") and hasattr(table, "select"):  # A datasets.Dataset.
        for part in table.with_format("arrow").iter(ROWS):
            yield from part.combine_chunks().to_batches()
    elif hasattr(table, "__arrow_c_stream__"):
        yield from pa.RecordBatchReader.from_stream(table)
    else:
        assert isinstance(table, Iterable)
        rows = list(table)
        if rows:
            names = dict.fromkeys(name for row in rows for name in row)
            columns = {str(name): [row.get(name) for row in rows] for name in names}
            yield from pa.table(columns).to_batches(ROWS)


def keep_model(model: LoadedModel, folder: Path) -> Path:
    """Write a model to a folder that is named after its content; return that folder.

    Weights that were changed in memory give another content, and so another folder.

    Raises:
        UsageError: the object is no model of sentence-transformers.
    """
    from hnmine.encode.model_files import fingerprint

    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".saving-", dir=folder) as saving:
        written = Path(saving) / "model"
        try:
            model.save_pretrained(str(written), create_model_card=False)
        except (TypeError, AttributeError) as error:
            raise UsageError(
                f"{type(model).__name__} is no model that hnmine can use.",
                why=str(error),
                fix="Pass a SentenceTransformer, a CrossEncoder, or the name of a model.",
            ) from error
        kept = folder / fingerprint(written)
        if not kept.exists():
            shutil.move(written, kept)
    return kept
