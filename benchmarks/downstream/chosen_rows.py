"""The rows that an arm trains on, in a file, so that training needs no candidates and no index."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.runner.plan import Json
from hnmine.training.student_rows import Rows

SCHEMA = pa.schema(
    {
        "set": pa.int32(),
        "query": pa.string(),
        "documents": pa.list_(pa.string()),
        "scores": pa.list_(pa.float64()),
    }
)


@dataclass(frozen=True)
class Chosen:
    """What a choice of negatives gave.

    Attributes:
        sets: of rows; training cycles through them.
        about: how many there are, and how hard.
    """

    sets: Sequence[Rows]
    about: Json


def once(path: Path, setting: Json, make: Callable[[], Chosen]) -> Chosen:
    """Return a choice from its file, or make it and write the file.

    Args:
        path: of the file; a choice of another setting is replaced.
        setting: all that the choice depends on.
        make: chooses.
    """
    asked = json.dumps(setting, sort_keys=True)
    if path.exists():
        table = pq.read_table(path)
        known = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        if known["setting"] == asked:
            return Chosen(_sets(table), json.loads(known["about"]))
    chosen = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"setting": asked, "about": json.dumps(chosen.about)}
    pq.write_table(_table(chosen.sets).replace_schema_metadata(about), path, compression="zstd")
    return chosen


def _table(sets: Sequence[Rows]) -> pa.Table:
    rows = [
        {
            **{"set": number, "query": query, "documents": list(documents)},
            "scores": None if own.scores is None else own.scores[place].tolist(),
        }
        for number, own in enumerate(sets)
        for place, (query, documents) in enumerate(zip(own.queries, own.documents, strict=True))
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def _sets(table: pa.Table) -> list[Rows]:
    rows = [list(own) for _, own in groupby(table.to_pylist(), key=lambda row: row["set"])]
    return [
        Rows(
            [row["query"] for row in own],
            [tuple(row["documents"]) for row in own],
            None
            if own[0]["scores"] is None
            else [np.array(row["scores"], np.float64) for row in own],
        )
        for own in rows
    ]
