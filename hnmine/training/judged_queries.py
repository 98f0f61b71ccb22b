"""Read judgements and texts in BEIR's layout, as Parquet; only the texts that are needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hnmine.errors import InputError, damage_explained
from hnmine.keyed_noise import keyed_noise

ROWS_AT_ONCE = 1 << 14
SEED = 9


@dataclass
class Read:
    """Texts of a file.

    Attributes:
        by_id: those that were asked for.
        others: of the rest, some drawn by chance.
        rows: number of texts in the file.
    """

    by_id: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    rows: int = 0


def read_texts(path: Path, columns: Collection[str], needed: set[str], most: int = 0) -> Read:
    """Read texts by id, those that are not blank.

    Args:
        path: of the file.
        columns: parts of a text.
        needed: ids.
        most: texts of other ids to draw; memory holds no more.

    Raises:
        InputError: the file is missing or damaged, or lacks a column.
    """
    read = Read()
    for ids, texts in _each(path, columns):
        there = [place for place, text in enumerate(texts) if text.strip()]
        read.rows += len(there)
        for place in there:
            if ids[place] in needed:
                read.by_id[ids[place]] = texts[place]
            elif most:
                read.others.append(texts[place])
        if len(read.others) > most + ROWS_AT_ONCE:
            read.others = _drawn(read.others, most)
    read.others = _drawn(read.others, most)
    return read


def read_judged(path: Path) -> list[tuple[str, str]]:
    """Read pairs of a query and a relevant document: of grade 1 or more, or without grades.

    Raises:
        InputError: the file is missing or damaged, or lacks a column.
    """
    file = _file(path, ["query_id", "corpus_id"])
    with damage_explained(path):
        table = file.read()
        table = table.rename_columns([_renamed(name) for name in table.column_names])
        if "score" in table.column_names:
            table = table.filter(pc.greater_equal(table["score"].cast(pa.float64()), 1))
        ids = [table[name].cast(pa.string()).to_pylist() for name in ("query_id", "corpus_id")]
        return list(zip(*ids, strict=True))


def _each(path: Path, columns: Collection[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield ids and texts, block by block."""
    file = _file(path, ["_id", "text"])
    with damage_explained(path):
        parts = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=["_id", *parts]):
            ids = batch.column("_id").cast(pa.string()).to_pylist()
            each = (batch.column(name).cast(pa.string()).to_pylist() for name in parts)
            yield ids, [" ".join(filter(None, own)) for own in zip(*each, strict=True)]


def _drawn(texts: list[str], most: int) -> list[str]:
    if len(texts) <= most:
        return texts
    noise = keyed_noise(SEED, [""] * len(texts), texts)
    return [texts[place] for place in np.sort(np.argpartition(noise, most)[:most])]


def _file(path: Path, needed: Collection[str]) -> pq.ParquetFile:
    if not path.exists():
        raise InputError(
            f"There is no file {path}.",
            why="--held-out takes a folder with queries.parquet and qrels.parquet.",
            fix="Check the path.",
        )
    with damage_explained(path):
        file = pq.ParquetFile(path)
        names = [_renamed(name) for name in file.schema_arrow.names]
    if missing := [name for name in needed if name not in names]:
        raise InputError(
            f"{path} has no column {missing[0]!r}.",
            why=f"It has {', '.join(names)}.",
            fix="Rename its columns as BEIR does.",
        )
    return file


def _renamed(name: str) -> str:
    return name.replace("-", "_")
