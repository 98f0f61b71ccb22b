"""Rank, score and choice of the same pairs in an earlier round."""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from hnmine.directories.mined import Mined
from hnmine.directories.parts import read_part
from hnmine.directories.same_pairs import Pair, SamePairs
from hnmine.inputs.unchanged import Unchanged

IDS = ("query_id", "doc_id")
COLUMNS = ("rank", "dense_score", "selected")
NAMES = ("previous_rank", "previous_score", "previous_selected")
"""The columns of the candidates that hold them."""


class Previous:
    """The scored table of an earlier round.

    Args:
        path: what `hnmine filter` wrote.

    Raises:
        InputError: it is no finished directory of that kind.
    """

    def __init__(self, path: Path) -> None:
        self.parts = Mined(path).parts
        self._contents = [Unchanged(part) for part in self.parts]
        # Opened after the parts, which it checks: they must stay as its manifest describes them.
        self.hash = Mined(path).hash
        self._queries: list[str] = []
        self._numbers: list[int] = []
        for number, part in enumerate(self.parts):
            with self._contents[number].reading():
                ids = read_part(part, ["query_id"])["query_id"].unique().to_pylist()
            self._queries += ids
            self._numbers += [number] * len(ids)
        self._join_by(SamePairs())

    def joined_by(self, same: SamePairs) -> Previous:
        """Return the same round, whose pairs are also found under the ids of copies."""
        other = copy(self)
        other._join_by(same)
        return other

    def _join_by(self, same: SamePairs) -> None:
        self._same = same
        self._part = lru_cache(maxsize=2)(self._read)
        pairs = [(query, "") for query in self._queries]
        names = zip((query for query, _ in same.of(pairs)), self._numbers, strict=True)
        # A part by the very id replaces that of a copy.
        self._part_of = dict(names) | dict(zip(self._queries, self._numbers, strict=True))

    def _read(self, number: int) -> tuple[dict[Pair, int], pa.Table]:
        with self._contents[number].reading():
            table = read_part(self.parts[number], ["query_id", "doc_id", *COLUMNS])
        pairs = list(zip(*(table[name].to_pylist() for name in IDS), strict=True))
        rows = {pair: row for row, pair in enumerate(self._same.of(pairs))}
        return rows | {pair: row for row, pair in enumerate(pairs)}, table.select(COLUMNS)

    def columns(self, query_ids: pa.Array, doc_ids: pa.Array) -> dict[str, pa.ChunkedArray]:
        """Return the columns of pairs, row by row; null for pairs that the earlier round lacks.

        Args:
            query_ids: shape (pairs,).
            doc_ids: shape (pairs,).
        """
        pairs = list(zip(query_ids.to_pylist(), doc_ids.to_pylist(), strict=True))
        named = list(zip(pairs, self._same.of(pairs), strict=True))
        numbers = np.array(
            [self._part_of.get(own[0], self._part_of.get(one[0], -1)) for own, one in named],
            np.int64,
        )
        parts, order = [self._part(0)[1].slice(0, 0)], []
        for number in np.unique(numbers):
            at = np.flatnonzero(numbers == number)
            known, table = self._part(int(number)) if number >= 0 else ({}, parts[0])
            found = [known.get(own, known.get(one)) for own, one in (named[n] for n in at)]
            parts.append(table.take(pa.array(found, pa.int64())))
            order.append(at)
        back = np.argsort(np.concatenate(order)) if order else np.empty(0, dtype=np.int64)
        whole = pa.concat_tables(parts).take(pa.array(back))
        return dict(zip(NAMES, whole.columns, strict=True))
