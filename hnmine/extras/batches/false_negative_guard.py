"""Keep rows apart if a document of one may be relevant to the query of the other."""

from __future__ import annotations

from collections.abc import Callable
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
from hnmine.index.dense_index import FLOAT32_STEP, DenseIndex
from hnmine.index.stored import norms_of
from hnmine.ragged import Ints

BELOW_ITS_POSITIVE = "dense_score < positive_score"
"""GISTEmbed's rule (Solatorio 2024), by the own positive of the row, not by all positives of its
query."""

BY_VERDICT = "coalesce(keep, true)"

USUAL = {
    BELOW_ITS_POSITIVE: (True, False),
    BY_VERDICT: (False, True),
    f"{BELOW_ITS_POSITIVE} and {BY_VERDICT}": (True, True),
}
"""Expressions that NumPy answers, many times as fast as DuckDB: by scores, by verdicts."""


NEAR_TIES = 1 << 12
"""Pairs that are computed exactly at once."""


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
        self._evaluate((np.arange(1), rows.slots[0]))

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
        clashes = self._clashes_among(everyone)
        inside, asking = np.split(np.arange(len(everyone)), [len(members)])
        against = clashes(asking, inside).sum(axis=1)
        fitting = np.flatnonzero(against == 0)
        among = clashes(asking[fitting], asking[fitting])
        joined: list[int] = []
        for place in range(len(fitting)):
            if len(joined) == room:
                break
            if not among[place, joined].any():
                joined.append(place)
        chosen = fitting[joined]
        last = chosen[-1] if len(joined) == room else len(proposed)
        refused = np.setdiff1d(np.arange(last), chosen)
        later = refused[:, None] > chosen
        more = clashes(asking[refused], asking[chosen])
        return proposed[chosen], int(against[refused].sum() + (more & later).sum())

    def _clashes_among(self, everyone: Ints) -> Callable[[Ints, Ints], NDArray[np.bool_]]:
        """Return what tells which of two groups, by their places, may not share a batch."""
        slots = self.rows.slots[everyone]
        if self.expression in USUAL:
            usual = _Usual(self, everyone, slots.ravel())
            refused = ~usual.allowed
            refuses = np.zeros((len(everyone), len(everyone)), dtype=bool)
            for columns in usual.place.reshape(slots.shape).T:
                refuses |= refused[:, columns]
            refuses |= refuses.T
            np.fill_diagonal(refuses, False)
            return lambda one, other: refuses[one[:, None], other]

        def allowed(one: Ints, other: Ints) -> NDArray[np.bool_]:
            (found,) = self._evaluate((everyone[one], slots[other].ravel()))
            return found.reshape(len(one), len(other), slots.shape[1])

        def clashes(one: Ints, other: Ints) -> NDArray[np.bool_]:
            if not len(one) or not len(other):
                return np.zeros((len(one), len(other)), dtype=bool)
            found: NDArray[np.bool_] = np.any(~allowed(one, other), axis=2)
            found |= np.any(~allowed(other, one), axis=2).T
            found[one[:, None] == other] = False
            return found

        return clashes

    def allows(self, *sides: tuple[Ints, Ints]) -> list[NDArray[np.bool_]]:
        """Return which rows and documents may share a batch, shape (rows, slots).

        Args:
            sides: rows, and slots of documents; every row is paired with every document.
        """
        if self.expression not in USUAL:
            return self._evaluate(*sides)
        found = (_Usual(self, rows, slots) for rows, slots in sides)
        return [one.allowed[:, one.place] for one in found]

    def _evaluate(self, *sides: tuple[Ints, Ints]) -> list[NDArray[np.bool_]]:
        """Return what `allows` does, by the expression in DuckDB."""
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
            beside, mine = [], []
            for rows, slots in sides:
                found, of_positive = self._scores(rows, slots)
                beside.append(found.ravel())
                mine.append(np.repeat(of_positive, len(slots)))
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
        """Return the scores of all pairs, shape (rows, slots), and of each row's own positive.

        Rounded to float32 as in the dense index; NaN where one has no vector.
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
        return scores[:, place[: len(slots)]], own


class _Usual:
    """One of the `USUAL` expressions, for all pairs of some rows and some documents.

    Attributes:
        place: the column of each document in `allowed`.
        allowed: which rows and documents may share a batch, shape (rows, distinct documents).
    """

    def __init__(self, guard: Guard, rows: Ints, slots: Ints) -> None:
        known = guard.rows
        by_score, by_verdict = USUAL[guard.expression]
        wanted = np.concatenate([slots, known.slots[rows, 0]])
        distinct, places = np.unique(wanted, return_inverse=True)
        self.place, own = np.split(places, [len(slots)])
        query = known.query[rows]
        self.allowed: NDArray[np.bool_] = ~known.barred(query, distinct, dropped=by_verdict)
        if by_score:
            assert guard.vectors
            vectors = guard.vectors.queries.read(query), guard.vectors.documents.read(distinct)
            self.allowed &= _below_own_positive(*vectors, own)


def _below_own_positive(
    queries: NDArray[np.float32], documents: NDArray[np.float32], own: Ints
) -> NDArray[np.bool_]:
    """Return which pairs score below the query's own positive, shape (queries, documents).

    Products in float32 decide, except those that are too near: these are computed exactly.

    Args:
        queries: their vectors.
        documents: their vectors.
        own: the document that is the positive of each query.
    """
    scores = _dots(queries, documents[own])
    lengths, asked = norms_of(documents), norms_of(queries)
    error = (documents.shape[1] + 2) * FLOAT32_STEP * asked * lengths.max(initial=0)
    lead = queries @ documents.T
    lead -= scores[:, None]
    below: NDArray[np.bool_] = lead < 0
    near = np.abs(lead, out=lead) <= error.astype(np.float32)[:, None]
    row, column = np.nonzero(near)
    for start in range(0, len(row), NEAR_TIES):
        one, other = (at[start : start + NEAR_TIES] for at in (row, column))
        below[one, other] = _dots(queries[one], documents[other]) < scores[one]
    # Without a vector there is no score, and nothing is below.
    there = lengths > 0
    below[~((asked > 0) & there[own])] = False
    below[:, ~there] = False
    return below


def _dots(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the products of pairs of vectors, in float64, rounded to float32, shape (pairs,)."""
    return np.einsum("ij,ij->i", one, other, dtype=np.float64).astype(np.float32)
