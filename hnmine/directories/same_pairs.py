"""The one join of judgements by ids: pairs of the same query and the same document are one pair.

Queries and documents are the same where their normalised texts are (`inputs/identity.py`), whatever
their ids. Whatever is known of a pair is known of all pairs that are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from hnmine.directories.candidates import Candidates
from hnmine.inputs.texts import Texts
from hnmine.ragged import Ints

Pair = tuple[str, str]
"""A query id and a document id."""

T = TypeVar("T")


class SamePairs:
    """Which pairs of ids are the same.

    Args:
        queries, documents: what the ids name; None where they cannot be read: then only pairs of
            the same ids are.
    """

    def __init__(self, queries: Texts | None = None, documents: Texts | None = None) -> None:
        self._texts = (queries, documents) if queries and documents else None

    @classmethod
    def among(cls, candidates: Candidates | None) -> SamePairs:
        """Return those of the queries and documents of candidates, if they can be read."""
        if candidates is None:
            return cls()
        return cls(candidates.queries.texts, candidates.index.documents)

    def of(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return for each pair the one that stands for it and all others that are the same.

        It has the ids of the first query and the first document with these texts; unknown ids stay.
        """
        if self._texts is None or not pairs:
            return list(pairs)
        sides = zip(self._texts, zip(*pairs, strict=True), strict=True)
        return list(zip(*(_first_ids(texts, ids) for texts, ids in sides), strict=True))

    def of_rows(self, query_rows: Ints, doc_rows: Ints) -> list[Pair]:
        """Return the same for pairs of rows of the queries and the documents."""
        assert self._texts is not None
        sides = zip(self._texts, (query_rows, doc_rows), strict=True)
        ids = (texts.id_array(texts.identity[rows]).to_pylist() for texts, rows in sides)
        return list(zip(*ids, strict=True))

    def highest(self, values: Mapping[Pair, float]) -> dict[Pair, float]:
        """Return the value of each pair that stands for others: the highest of theirs."""
        found: dict[Pair, float] = {}
        for pair, value in zip(self.of(list(values)), values.values(), strict=True):
            found[pair] = max(value, found.get(pair, value))
        return found

    def named(self, values: Mapping[Pair, T], names: Sequence[Pair]) -> dict[Pair, T]:
        """Return values by the names that others use for their pairs; the rest keep their own."""
        there = set(names)
        used = dict(zip(self.of(names)[::-1], names[::-1], strict=True))
        others = {pair: value for pair, value in values.items() if pair not in there}
        same = zip(others.items(), self.of(list(others)), strict=True)
        renamed = {used.get(one, pair): value for (pair, value), one in same}
        # A value by the very ids replaces that of a copy.
        return renamed | {pair: value for pair, value in values.items() if pair in there}

    def known(self, values: Mapping[Pair, T], names: Sequence[Pair]) -> dict[Pair, T]:
        """Return what is known of pairs, by their own ids.

        Args:
            values: by the pairs that stand for others.
            names: of the pairs.
        """
        same = zip(names, self.of(names), strict=True)
        return {pair: values[one] for pair, one in same if one in values}

    def with_twins(self, pairs: Iterable[Pair], most: int) -> list[Pair]:
        """Return pairs with those of other queries of the same text, as long as `most` hold all."""
        found: dict[Pair, None] = {}
        for pair in pairs:
            new = dict.fromkeys(one for one in self._twins(pair) if one not in found)
            if len(found) + len(new) > most:
                break
            found |= new
        return list(found)

    def _twins(self, pair: Pair) -> list[Pair]:
        rows = self._texts[0].find_ids([pair[0]]) if self._texts else np.array([-1])
        if self._texts is None or rows[0] < 0:
            return [pair]
        queries = self._texts[0]
        ids = queries.id_array(queries.copies(rows)[1]).to_pylist()
        return [pair, *((one, pair[1]) for one in ids if one != pair[0])]


def _first_ids(texts: Texts, ids: Sequence[str]) -> list[str]:
    """Return the id of the first row with the text of each id; an unknown id stays."""
    rows = texts.find_ids(ids)
    known = np.flatnonzero(rows >= 0)
    first = texts.identity[rows[known]]
    copies = first != rows[known]
    found = list(ids)
    names = texts.id_array(first[copies]).to_pylist()
    for place, name in zip(known[copies].tolist(), names, strict=True):
        found[place] = name
    return found
