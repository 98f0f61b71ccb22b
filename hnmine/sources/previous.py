"""Rank, score and choice of the same pairs in an earlier round."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from hnmine.directories.mined import Mined
from hnmine.directories.parts import read_part
from hnmine.inputs.identity import Keys, Lookup, exact_keys
from hnmine.inputs.unchanged import Unchanged

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
        self._part = lru_cache(maxsize=2)(self._read)
        queries, numbers = [], []
        for number, part in enumerate(self.parts):
            with self._contents[number].reading():
                ids = read_part(part, ["query_id"])["query_id"].unique().to_pylist()
            queries += ids
            numbers.append(np.full(len(ids), number))
        self._queries = Lookup.build(exact_keys(queries))
        self._numbers = np.concatenate(numbers)

    def _read(self, number: int) -> tuple[Lookup, pa.Table]:
        with self._contents[number].reading():
            table = read_part(self.parts[number], ["query_id", "doc_id", *COLUMNS])
        return Lookup.build(_pairs(table["query_id"], table["doc_id"])), table.select(COLUMNS)

    def columns(self, query_ids: pa.Array, doc_ids: pa.Array) -> dict[str, pa.ChunkedArray]:
        """Return the columns of pairs, row by row; null for pairs that the earlier round lacks.

        Args:
            query_ids: shape (pairs,).
            doc_ids: shape (pairs,).
        """
        distinct = query_ids.dictionary_encode()
        found = self._queries.find(exact_keys(distinct.dictionary.to_pylist()))
        numbers = np.where(found >= 0, self._numbers[found], -1)[distinct.indices.to_numpy()]
        keys = _pairs(query_ids, doc_ids)
        parts, order = [self._part(0)[1].slice(0, 0)], []
        for number in np.unique(numbers):
            at = np.flatnonzero(numbers == number)
            known, table = self._part(max(int(number), 0))
            rows = known.find(keys[at]) if number >= 0 else np.full(len(at), -1)
            parts.append(table.take(pa.array(rows, mask=rows < 0)))
            order.append(at)
        back = np.argsort(np.concatenate(order)) if order else np.empty(0, dtype=np.int64)
        whole = pa.concat_tables(parts).take(pa.array(back))
        return dict(zip(NAMES, whole.columns, strict=True))


def _pairs(query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray) -> Keys:
    pairs = zip(query_ids.to_pylist(), doc_ids.to_pylist(), strict=True)
    # The length tells where the query id ends, whatever characters it has.
    return exact_keys(f"{len(query)} {query}{document}" for query, document in pairs)
