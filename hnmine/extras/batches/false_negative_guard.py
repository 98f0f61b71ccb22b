"""Which rows may not share a batch, because a document of one may be relevant to the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.directories.candidates import Candidates
from hnmine.directories.never_negatives import refusal
from hnmine.errors import UsageError
from hnmine.expressions.evaluation import compares_candidates, evaluate, truth
from hnmine.extras.batches.rows import Rows
from hnmine.index.dense_index import DenseIndex
from hnmine.ragged import Ints

BY_VERDICT = "coalesce(keep, true)"


@dataclass(frozen=True)
class Vectors:
    """The vectors of the queries, by number, and of the documents, by slot."""

    queries: DenseIndex
    documents: DenseIndex


def check_batches(
    rows: Rows, chosen: Ints, batch: Ints, candidates: Candidates, path: Path
) -> None:
    """Refuse batches in which a document of one row may not be a negative of another's query.

    Args:
        rows: of the training data.
        chosen: those in the batches, shape (n,).
        batch: of each.
        candidates: that they are from.
        path: what they are read from, for the error.

    Raises:
        InputError: with the first such query and document.
    """
    width = len(candidates.index.documents.canonical)
    documents = batch[:, None] * width + rows.slots[chosen]
    offsets, slots = rows.never(rows.query[chosen])
    asks = np.repeat(np.arange(len(chosen)), np.diff(offsets))
    never = batch[asks] * width + slots
    there = np.sort(documents.ravel())
    times = np.searchsorted(there, never, "right") - np.searchsorted(there, never, "left")
    own = documents[asks, 0] == never
    wrong = np.flatnonzero(times > own)
    if len(wrong):
        query = rows.query_rows[rows.query[chosen[asks[wrong[0]]]]]
        document = candidates.index.documents.canonical[slots[wrong[0]]]
        raise refusal(candidates, path, int(query), int(document))


class Guard:
    """Decides which rows may join a batch.

    A document may stand beside a query if it is no known positive of it, nor a copy of one, nor the
    query itself, and an expression is true of the two.
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
        # What is wrong with an expression is better known before the first batch.
        self.allows((rows.query[:1], rows.slots[0]))

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
        clash, others = self._clashes((proposed, everyone), (members, proposed))
        clash[:, : len(members)] |= others.T
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

    def _clashes(self, *sides: tuple[Ints, Ints]) -> list[NDArray[np.bool_]]:
        """Tell which rows' queries may not see a document of which others, shape (rows, others)."""
        allowed = self.allows(
            *((self.rows.query[rows], self.rows.slots[others].ravel()) for rows, others in sides)
        )
        return [
            np.any(~found.reshape(len(rows), *self.rows.slots[others].shape), axis=2)
            for found, (rows, others) in zip(allowed, sides, strict=True)
        ]

    def allows(self, *sides: tuple[Ints, Ints]) -> list[NDArray[np.bool_]]:
        """Tell which queries and documents may share a batch, shape (queries, slots).

        Args:
            sides: queries, and the slots of documents; every query with every document.
        """
        query = np.concatenate([np.repeat(queries, len(slots)) for queries, slots in sides])
        slot = np.concatenate([np.tile(slots, len(queries)) for queries, slots in sides])
        asked = np.unique(np.concatenate([queries for queries, _ in sides]))
        offsets, positives = self.rows.positives(asked)
        known = np.arange(len(query) + len(positives)) >= len(query)
        columns = {
            "query_row": np.concatenate([query, np.repeat(asked, np.diff(offsets))]),
            "is_positive": known,
        }
        if self.vectors:
            encoded = self.vectors.queries.read(asked)
            of_sides = [
                self._scores(encoded[np.searchsorted(asked, queries)], slots)
                for queries, slots in sides
            ]
            own = self.vectors.documents.score(encoded, offsets, positives).astype(np.float32)
            scores = np.concatenate([*of_sides, own])
            columns["dense_score"] = pa.array(scores, mask=np.isnan(scores))
        dropped = np.append(self.rows.is_dropped(query, slot), np.zeros(len(positives), bool))
        table = pa.table(columns).append_column("keep", pa.array(known, mask=~dropped))
        found = evaluate(table, {"guard": self.expression}, ~known)["guard"]
        allowed = truth(found, self.expression)[~known] & ~self.rows.is_never(query, slot)
        sizes = [len(queries) * len(slots) for queries, slots in sides]
        return [
            part.reshape(len(queries), len(slots))
            for part, (queries, slots) in zip(
                np.split(allowed, np.cumsum(sizes)[:-1]), sides, strict=True
            )
        ]

    def _scores(self, encoded: NDArray[np.float32], slots: Ints) -> NDArray[np.float32]:
        """Score every document with every query, to float32 as the dense index does."""
        assert self.vectors
        distinct, place = np.unique(slots, return_inverse=True)
        documents = self.vectors.documents.read(distinct).astype(np.float64)
        scores = (encoded.astype(np.float64) @ documents.T).astype(np.float32)
        scores[:, ~documents.any(axis=1)] = np.nan
        scores[~encoded.any(axis=1)] = np.nan
        return scores[:, place].ravel()
