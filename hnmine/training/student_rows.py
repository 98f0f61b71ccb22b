"""Rows to train on: a query, its positive and its negatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hnmine.errors import InputError, damage_explained
from hnmine.keyed_noise import keyed_noise
from hnmine.runner.plan import digest

LAYOUTS = "triplet or n-tuple"
PAIR = ["query", "positive"]
ROWS_AT_ONCE = 1 << 14
SEED = 11


@dataclass(frozen=True)
class Rows:
    """What a student trains on.

    Attributes:
        queries: a text for each row.
        documents: the positive and the negatives of each row, in this order.
        scores: a teacher's, of each row's documents; None without one.
    """

    queries: Sequence[str]
    documents: Sequence[Sequence[str]]
    scores: Sequence[NDArray[np.float64]] | None = None

    def __len__(self) -> int:
        return len(self.queries)

    def only(self, rows: Sequence[int]) -> Rows:
        """Return some of the rows."""
        return Rows(
            [self.queries[row] for row in rows],
            [self.documents[row] for row in rows],
            None if self.scores is None else [self.scores[row] for row in rows],
        )

    def in_batch(self) -> Rows:
        """Return each pair of a query and a positive once, without negatives."""
        pairs = dict.fromkeys(
            (query, documents[0])
            for query, documents in zip(self.queries, self.documents, strict=True)
        )
        return Rows([query for query, _ in pairs], [[positive] for _, positive in pairs])

    @property
    def fingerprint(self) -> str:
        """A hash of everything that the student sees."""
        scores = None if self.scores is None else [own.tolist() for own in self.scores]
        return digest([list(self.queries), [list(own) for own in self.documents], scores])

    def parts(self, number: int) -> list[Rows]:
        """Deal each row's negatives out into so many sets, which training cycles through."""
        dealt = [
            [own[0], *own[1 + part :: number]] for part in range(number) for own in self.documents
        ]
        size = len(self)
        scores = [
            None
            if self.scores is None
            else [np.array([one[0], *one[1 + part :: number]]) for one in self.scores]
            for part in range(number)
        ]
        return [
            Rows(self.queries, dealt[part * size : (part + 1) * size], scores[part])
            for part in range(number)
        ]

    @classmethod
    def read(cls, directory: Path, most: int | None = None) -> Rows:
        """Read the training table of a mined or an exported directory.

        Args:
            directory: with train/.
            most: rows to read, about: of more, those of some pairs of a query and a positive, the
                same pairs in each directory. None for all.

        Raises:
            InputError: there is none, it is damaged, or it is of a layout for other losses.
        """
        files = sorted((directory / "train").glob("*.parquet"))
        if not files:
            raise InputError(
                f"{directory} has no training table in train/.",
                fix=f"Run `hnmine filter` with --format {LAYOUTS}.",
            )
        for file in files:
            with damage_explained(file):
                names = pq.read_schema(file).names
            _check_layout(names, rows_in(directory), directory)
        highest = None
        if most is not None and rows_in(directory) > most:
            noise = np.concatenate([_noise(batch) for batch in _each(files, PAIR)])
            highest = np.partition(noise, most - 1)[most - 1]
        tables = []
        for batch in _each(files):
            chosen = batch if highest is None else batch.filter(_noise(batch) <= highest)
            tables.append(pa.Table.from_batches([chosen]))
        with damage_explained(directory / "train"):
            table = pa.concat_tables(tables, promote_options="default")
        return cls.of_table(table, directory)

    @classmethod
    def of_table(cls, table: pa.Table, directory: Path) -> Rows:
        """Take the rows of a training table; see `read`."""
        names = table.column_names
        _check_layout(names, table.num_rows, directory)
        negatives = [name for name in names if name.partition("_")[0] == "negative"]
        with damage_explained(directory / "train"):
            columns = [_texts(table, name) for name in ("query", "positive", *negatives)]
            scores = None
            if "scores" in names:
                lists = table["scores"].to_pylist()
                if any(one is None or len(one) != len(columns) - 1 for one in lists):
                    raise ValueError("Its column scores has not a score for each document.")
                scores = [np.array(one, np.float64) for one in lists]
        return cls(columns[0], list(zip(*columns[1:], strict=True)), scores)


def rows_in(directory: Path) -> int:
    """Count the rows of train/ without reading them."""
    rows = 0
    for file in (directory / "train").glob("*.parquet"):
        with damage_explained(file):
            rows += pq.read_metadata(file).num_rows
    return rows


def _each(files: Sequence[Path], columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    for file in files:
        with damage_explained(file):
            yield from pq.ParquetFile(file).iter_batches(ROWS_AT_ONCE, columns=columns)


def _noise(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    """Return a random number for each row, by its query and positive alone."""
    pairs = (
        [text or "" for text in batch.column(name).cast(pa.string()).to_pylist()] for name in PAIR
    )
    return keyed_noise(SEED, *pairs)


def _check_layout(names: Sequence[str], rows: int, directory: Path) -> None:
    if not set(PAIR) <= set(names) or rows == 0:
        raise InputError(
            f"The rows of {directory / 'train'} cannot train a bi-encoder here.",
            why=f"The table has {rows:,} rows and the columns {', '.join(names)}.",
            fix=f"Filter again with --format {LAYOUTS}; that loads no model.",
        )


def _texts(table: pa.Table, name: str) -> list[str]:
    """Return a column of texts; the directory may come from someone else."""
    kind, nulls = table.schema.field(name).type, table[name].null_count
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or nulls:
        raise ValueError(
            f"Its column {name} holds {f'{nulls:,} nulls' if nulls else kind} where texts belong."
        )
    texts: list[str] = table[name].to_pylist()
    return texts


def batches(
    sets: Sequence[Rows], size: int, steps: int, seed: int
) -> Iterator[tuple[Rows, list[int]]]:
    """Yield the rows of each step; no text comes twice in a batch.

    The order depends on the texts of query and positive alone: all arms see the same pairs in the
    same order. A row that would repeat a text waits for the next batch.

    Args:
        sets: of rows; each pass goes through the next one.
        size: rows in a batch; fewer where texts would repeat.
        steps: batches; the sets are gone through again where they end.
        seed: of the order.
    """
    done = epoch = 0
    while True:
        rows = sets[epoch % len(sets)]
        noise = keyed_noise(seed + 1000 * epoch, rows.queries, [own[0] for own in rows.documents])
        waiting, made = np.argsort(noise, kind="stable").tolist(), 0
        while waiting:
            batch, waiting = _next_batch(rows, waiting, size)
            if made and 2 * len(batch) < size:
                break  # A small batch has few negatives: its gradient is mostly noise.
            yield rows, batch
            made, done = made + 1, done + 1
            if done == steps:
                return
        epoch += 1


def _next_batch(rows: Rows, waiting: list[int], size: int) -> tuple[list[int], list[int]]:
    """Take the first rows that share no text; return them, and those that still wait."""
    batch: list[int] = []
    left: list[int] = []
    seen: set[str] = set()
    for place, row in enumerate(waiting):
        if len(batch) == size:
            return batch, left + waiting[place:]
        texts = {rows.queries[row], *rows.documents[row]}
        if seen & texts:
            left.append(row)
        else:
            batch.append(row)
            seen |= texts
    return batch, left
