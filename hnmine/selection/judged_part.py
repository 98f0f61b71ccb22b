"""What the rules say of a part, on disk until the run is finished: every part is judged once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.errors import damage_explained
from hnmine.ragged import Ints
from hnmine.schema import ESTIMATES
from hnmine.selection.derived_columns import definitions
from hnmine.selection.verdicts import Verdicts

REASON = "_reason"
"""Column with the reason of each row before the document cap."""


def write_judged(verdicts: Verdicts, path: Path) -> None:
    """Write the reasons of a part and the columns that its rules added."""
    added = {*ESTIMATES.names, *definitions(verdicts.rules)}
    names = [name for name in verdicts.table.column_names if name.lower() in added]
    reason = pa.array(verdicts.uncapped_reason).dictionary_encode()
    table = verdicts.table.select(names).append_column(REASON, reason)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, table.schema, options=options) as out,
    ):
        out.write_table(table.unify_dictionaries())


def read_judged(path: Path, table: pa.Table) -> tuple[pa.Table, NDArray[np.str_]]:
    """Return a part with the columns that rules added, and the reason of each row.

    Args:
        path: of what `write_judged` wrote.
        table: the rows of the part, without these columns.

    Raises:
        InputError: the file is damaged.
    """
    with damage_explained(path), pa.memory_map(str(path)) as file:
        judged = pa.ipc.open_file(file).read_all()
        judged.validate(full=True)
        if len(judged) != len(table) or REASON not in judged.column_names:
            raise ValueError("It is not of this part.")
    for field in judged.drop_columns(REASON).schema:
        if field.name in table.column_names:
            table = table.drop_columns(field.name)
        table = table.append_column(field, judged[field.name])
    reason = judged[REASON].combine_chunks()
    kinds = np.array(reason.dictionary.to_pylist(), dtype=np.str_)
    at: Ints = reason.indices.to_numpy()
    return table, kinds[at]
