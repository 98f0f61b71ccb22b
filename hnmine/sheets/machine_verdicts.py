"""The verdicts of machine judges in a sheet, and the one that counts.

Each machine judge has a column of its own, `verdict NAME`. The column `verdict` holds the verdict
that counts: a person's; else the mean of the machines' if they agree; else null.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from hnmine.ragged import Bools, Floats
from hnmine.schema import RELEVANT

OWN = "verdict "
"""How the name of a machine judge's column begins."""


def numbers_in(table: pa.Table, name: str) -> Floats:
    """Return a column of numbers; NaN where it is null, or missing."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    values = table[name].cast(pa.float64()).to_pylist()
    return np.array([np.nan if value is None else value for value in values], np.float64)


def machine_verdicts(table: pa.Table) -> dict[str, Floats]:
    """Return the verdicts of each machine judge, by its name; NaN without one."""
    names = [name for name in table.column_names if name.startswith(OWN)]
    return {name.removeprefix(OWN): numbers_in(table, name) for name in names}


def settled(machines: Collection[Floats], rows: int) -> Floats:
    """Return the mean of the machines' verdicts where they agree; NaN elsewhere."""
    total, count, relevant = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    for verdicts in machines:
        known = np.isfinite(verdicts)
        total[known] += verdicts[known]
        count += known
        relevant += known & (verdicts >= RELEVANT)
    agreed = (count > 0) & ((relevant == 0) | (relevant == count))
    return np.where(agreed, total / np.maximum(count, 1), np.nan)


def disputed(table: pa.Table) -> Bools:
    """Return which rows have no verdict that counts, because the machines disagree."""
    machines = machine_verdicts(table)
    if len(machines) < 2:
        return np.zeros(table.num_rows, bool)
    answered = np.isfinite(list(machines.values())).any(axis=0)
    disagree = answered & np.isnan(settled(machines.values(), table.num_rows))
    return disagree & np.isnan(numbers_in(table, "verdict"))
