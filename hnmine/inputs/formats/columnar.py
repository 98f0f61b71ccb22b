"""Parquet, and Arrow IPC: streams, as `Dataset.save_to_disk` writes them, and Feather files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.inputs.formats.reader import BATCH_ROWS, Asked, Reader, refuse_twins

MAGIC = b"ARROW1"
OLD_MAGIC = b"FEA1"
END = b"\xff\xff\xff\xff\0\0\0\0"
"""Ends a stream; without it, a file that was cut between two batches would look whole."""


class ParquetReader(Reader):
    """A Parquet file, the checksums of its pages verified."""

    def __init__(self, path: Path, _: Asked) -> None:
        import pyarrow.dataset as ds  # It imports pandas.

        refuse_twins(pq.read_schema(path).names)
        checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        how = ds.ParquetFileFormat(default_fragment_scan_options=checked)
        self._dataset = ds.dataset([str(path)], format=how)
        self.rows = pq.read_metadata(path).num_rows
        super().__init__(path, self._dataset.schema)

    def batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns."""
        yield from self._dataset.to_batches(columns=names, batch_size=BATCH_ROWS)


class ArrowReader(Reader):
    """An Arrow stream or file; its rows are counted by reading it."""

    def __init__(self, path: Path, _: Asked) -> None:
        with _opened(path, None) as (schema, batches):
            refuse_twins(schema.names)
            self.rows = sum(batch.num_rows for batch in batches)
        super().__init__(path, schema)

    def batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns."""
        with _opened(self.path, names) as (_, batches):
            for batch in batches:
                batch.validate(full=True)  # Before slices are taken.
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield batch.slice(start, BATCH_ROWS).select(names)


@contextmanager
def _opened(
    path: Path, names: list[str] | None
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Open a file, not mapped to memory: one that is cut meanwhile would end the process."""
    with pa.OSFile(str(path)) as source:
        start = source.read(len(MAGIC))
        if start.startswith(OLD_MAGIC):
            raise ValueError("It is a Feather file of version 1. Write it again as version 2.")
        source.seek(0)
        if start == MAGIC:
            schema = pa.ipc.open_file(source).schema
            file = pa.ipc.open_file(source, options=_only(schema, names))
            yield schema, (file.get_batch(n) for n in range(file.num_record_batches))
            return
        source.seek(max(source.size() - len(END), 0))
        if source.read(len(END)) != END:
            raise ValueError("It is no Arrow file, or it ends too early.")
        source.seek(0)
        schema = pa.ipc.open_stream(source).schema
        source.seek(0)
        yield schema, iter(pa.ipc.open_stream(source, options=_only(schema, names)))


def _only(schema: pa.Schema, names: list[str] | None) -> pa.ipc.IpcReadOptions:
    wanted = [n for n, name in enumerate(schema.names) if names is None or name in names]
    return pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
