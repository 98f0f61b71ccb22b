"""Parquet files, their pages' checksums verified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from hnmine.inputs.formats.table_format import BATCH_ROWS, Columns, refuse_twins


class Parquet:
    """Parquet."""

    def columns(self, path: Path) -> Columns:
        """Find the columns of a file, from its footer."""
        refuse_twins(pq.read_schema(path).names)
        return Columns(list(_dataset(path).schema), pq.read_metadata(path).num_rows)

    def batches(self, path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns."""
        yield from _dataset(path).to_batches(columns=names, batch_size=BATCH_ROWS)


def _dataset(path: Path) -> ds.Dataset:
    checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.dataset(
        [str(path)], format=ds.ParquetFileFormat(default_fragment_scan_options=checked)
    )
