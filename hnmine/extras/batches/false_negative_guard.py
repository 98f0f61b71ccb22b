"""Keep rows apart if a document of one may be relevant to the query of the other."""

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

BELOW_ITS_POSITIVE = "dense_score < positive_score"
"""GISTEmbed's rule (Solatorio 2024), by the own positive of the row, not by all positives of its
query."""

BY_VERDICT = "coalesce(keep, true)"


@dataclass(frozen=True)
class Vectors:
    """Vectors of the queries, by number, and of the documents, by slot."""

    queries: DenseIndex
    documents: DenseIndex


def check_batches(
    rows: Rows, chosen: Ints, batch: Ints, candidates: Candidates, path: Path
) -> None:
    """Refuse batches in which a document of one row is a positive of another row's query.

    Args:
        rows: of the training data.
        chosen: rows in the batches, shape (n,).
        batch: batch of each.
        candidates: that the rows are from.
        path: directory that the rows are from, for the error.

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

    A document may share a batch with a query if it is not a known positive, a copy of one, or the
    query itself, and an expression is true for the pair.
    """

    def __init__(self, rows: Rows, expression: str, vectors: Vectors | None) -> None:
        """Prepare the guard.

        Args:
            rows: of the training data.
            expression: over `dense_score`, `positive_score` and `keep`; true allows the pair.
            vectors: for the scores; None without a dense index.

        Raises:
            UsageError: the expression is wrong, or compares all candidates of a query.
        """
        self.rows, self.expression, self.vectors = rows, expression, vectors
        if function := compares_candidates(expression):
            raise UsageError(
                f"--guard {expression!r} cannot be used: {function}() compares all candidates.",
                why="The guard sees only a row, the positives of its query and one document.",
                fix="Use the columns dense_score, positive_score and keep, and pos(x), posmax(x) "
                "and posmean(x).",
            )
        # Finds errors in the expression before the first batch.
        self.allows((np.arange(1), rows.slots[0]))

    def admit(self, members: Ints, proposed: Ints, room: int) -> tuple[Ints, int]:
        """Choose the rows that join a batch: one by one, if they fit all rows in it.

        Args:
            members: rows of the batch.
            proposed: further rows, of new and different queries.
            room: most rows that may join.

        Returns:
            The rows that join, and the number of clashes between pairs of rows.
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
        """Return whether a row's query clashes with another's documents, shape (rows, others)."""
        allowed = self.allows(*((rows, self.rows.slots[others].ravel()) for rows, others in sides))
        return [
            np.any(~found.reshape(len(rows), *self.rows.slots[others].shape), axis=2)
            for found, (rows, others) in zip(allowed, sides, strict=True)
        ]

    def allows(self, *sides: tuple[Ints, Ints]) -> list[NDArray[np.bool_]]:
        """Return which rows and documents may share a batch, shape (rows, slots).

        Args:
            sides: rows, and slots of documents; every row is paired with every document.
        """
        row = np.concatenate([np.repeat(rows, len(slots)) for rows, slots in sides])
        slot = np.concatenate([np.tile(slots, len(rows)) for rows, slots in sides])
        query = self.rows.query[row]
        asked = np.unique(query)
        offsets, positives = self.rows.positives(asked)
        known = np.arange(len(query) + len(positives)) >= len(query)
        columns = {
            "query_row": np.concatenate([query, np.repeat(asked, np.diff(offsets))]),
            "is_positive": known,
        }
        if self.vectors:
            own = self.vectors.documents.score(
                self.vectors.queries.read(asked), offsets, positives
            ).astype(np.float32)
            beside, mine = zip(*(self._scores(rows, slots) for rows, slots in sides), strict=True)
            for name, values in (("dense_score", beside), ("positive_score", mine)):
                scores = np.concatenate([*values, own])
                columns[name] = pa.array(scores, mask=np.isnan(scores))
        dropped = np.append(self.rows.is_dropped(query, slot), np.zeros(len(positives), bool))
        table = pa.table(columns).append_column("keep", pa.array(known, mask=~dropped))
        found = evaluate(table, {"guard": self.expression}, ~known)["guard"]
        allowed = truth(found, self.expression)[~known] & ~self.rows.is_never(query, slot)
        sizes = [len(rows) * len(slots) for rows, slots in sides]
        return [
            part.reshape(len(rows), len(slots))
            for part, (rows, slots) in zip(
                np.split(allowed, np.cumsum(sizes)[:-1]), sides, strict=True
            )
        ]

    def _scores(self, rows: Ints, slots: Ints) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the scores of all pairs, and that of each pair's row with its own positive.

        Rounded to float32 as in the dense index.
        """
        assert self.vectors
        encoded = self.vectors.queries.read(self.rows.query[rows])
        wanted = np.concatenate([slots, self.rows.slots[rows, 0]])
        distinct, place = np.unique(wanted, return_inverse=True)
        documents = self.vectors.documents.read(distinct).astype(np.float64)
        scores = (encoded.astype(np.float64) @ documents.T).astype(np.float32)
        scores[:, ~documents.any(axis=1)] = np.nan
        scores[~encoded.any(axis=1)] = np.nan
        own = scores[np.arange(len(rows)), place[len(slots) :]]
        return scores[:, place[: len(slots)]].ravel(), np.repeat(own, len(slots))
