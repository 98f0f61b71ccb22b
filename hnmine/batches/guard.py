"""Which rows may not share a batch, because a document of one may be relevant to the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.batches.rows import Ints, Rows
from hnmine.errors import UsageError
from hnmine.expressions import compares_candidates, evaluate
from hnmine.index.dense import DenseIndex
from hnmine.index.topk import offsets_of
from hnmine.rules import truth

BY_SIMILARITY = "dense_score < pos(dense_score)"
"""GISTEmbed's rule (Solatorio 2024), with the index's encoder as the guide."""
BY_VERDICT = "coalesce(keep, true)"


@dataclass(frozen=True)
class Vectors:
    """The vectors of the queries, by number, and of the documents, by slot."""

    queries: DenseIndex
    documents: DenseIndex


class Guard:
    """Decides which rows may join a batch.

    A document may stand beside a query if it is no known positive of it, nor a copy of one, and an
    expression is true of the two.
    """

    def __init__(self, rows: Rows, expression: str, vectors: Vectors | None) -> None:
        """Prepare the guard.

        Args:
            rows: the rows that ask.
            expression: over `dense_score` and `keep`; true lets the document be.
            vectors: what `dense_score` is computed from; None where there is no dense index.

        Raises:
            UsageError: the expression is wrong, or looks at all candidates of a query.
        """
        self.rows, self.expression, self.vectors = rows, expression, vectors
        if function := compares_candidates(expression):
            raise UsageError(
                f"--guard {expression!r} cannot be used: {function}() looks at all candidates.",
                why="In a batch there are only the query, its positives and one document.",
                fix="Use the columns dense_score and keep, and pos(x), posmax(x) and posmean(x).",
            )
        nothing = np.empty(0, dtype=np.int64)
        self.allows(nothing, nothing)

    def admit(self, members: Ints, proposed: Ints, room: int) -> tuple[Ints, int]:
        """Choose the rows that join a batch: each in its turn, if it suits all that are there.

        Args:
            members: rows of the batch.
            proposed: further rows, of other queries than the members' and each other's.
            room: how many may join.

        Returns:
            The rows that join, and the number of pairs of rows that kept others out.
        """
        everyone = np.concatenate([members, proposed])
        clash = self._clashes(proposed, everyone)
        clash[:, : len(members)] |= self._clashes(members, proposed).T
        clash[:, len(members) :] |= clash[:, len(members) :].T
        np.fill_diagonal(clash[:, len(members) :], False)
        inside = np.zeros(len(everyone), dtype=bool)
        inside[: len(members)] = True
        refused = joined = 0
        for place in range(len(proposed)):
            if joined == room:
                break
            against = int((clash[place] & inside).sum())
            inside[len(members) + place] = not against
            joined += not against
            refused += against
        return proposed[inside[len(members) :]], refused

    def _clashes(self, rows: Ints, others: Ints) -> NDArray[np.bool_]:
        """Tell which rows' queries may not see a document of which others, shape (rows, others)."""
        slots = self.rows.slots[others]
        if not len(rows):
            return np.zeros((0, len(others)), dtype=bool)
        query = np.repeat(self.rows.query[rows], slots.size)
        allowed = self.allows(query, np.tile(slots.ravel(), len(rows)))
        shape = (len(rows), *slots.shape)
        return np.any(~allowed.reshape(shape), axis=2)

    def allows(self, query: Ints, slots: Ints) -> NDArray[np.bool_]:
        """Tell for pairs of a query and a document whether they may share a batch, shape (pairs,).

        The pairs of a query stand together.
        """
        queries, place = np.unique(query, return_inverse=True)
        offsets, positives = self.rows.positives(queries)
        counts = np.diff(offsets)
        pairs = len(query)
        dropped = self.rows.is_dropped(query, slots)
        columns = {
            "query_row": pa.array(np.concatenate([query, np.repeat(queries, counts)])),
            "is_positive": pa.array(np.arange(pairs + len(positives)) >= pairs),
            "keep": pa.array(np.zeros(pairs + len(positives), dtype=bool), mask=np.concatenate(
                [~dropped, np.ones(len(positives), dtype=bool)])),
        }  # fmt: skip
        if self.vectors:
            every = np.concatenate([place, np.repeat(np.arange(len(queries)), counts)])
            columns["dense_score"] = pa.array(
                self._cosines(queries, every, np.concatenate([slots, positives]))
            )
        table = pa.table(columns)
        candidate = np.arange(len(table)) < pairs
        found = evaluate(table, {"guard": self.expression}, candidate)["guard"]
        return truth(found, self.expression)[:pairs] & ~self.rows.is_positive(query, slots)

    def _cosines(self, queries: Ints, place: Ints, slots: Ints) -> NDArray[np.float32]:
        """Score documents with the queries at places, as the dense index does."""
        assert self.vectors
        order = np.argsort(place, kind="stable")
        offsets = offsets_of(np.bincount(place, minlength=len(queries)))
        encoded = self.vectors.queries.vectors(queries)
        scores = np.empty(len(slots), dtype=np.float32)
        scores[order] = self.vectors.documents.score(encoded, offsets, slots[order])
        return scores
