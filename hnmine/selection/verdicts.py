"""The verdict on every candidate of a block of queries: its scores, why it fell, or its use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine import schema
from hnmine.choose import choose, race, spread
from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.errors import InputError
from hnmine.exports.training_rows import Chosen
from hnmine.expressions.evaluation import evaluate, logarithm, truth
from hnmine.expressions.syntax import bracketed
from hnmine.keyed_noise import keyed_noise
from hnmine.names import DEFAULT_SOURCES, check_new
from hnmine.ragged import Bools, offsets_of, position_in_list
from hnmine.relevance.evidence import numbers
from hnmine.selection.hardness import sums_of
from hnmine.selection.rules import KEPT, by_text, reasons, renamed, rules

ANCHORS = {"min": "pos", "max": "posmax", "mean": "posmean"}
RELABELLED, USED_UP = "relabelled", "max-uses"
NOT_SCORED = "not-scored"


class Verdicts:
    """Judges one part of the candidates; all rows of a query stand together.

    Args:
        table: rows of `schema.CANDIDATES`, and further columns to judge by.
        settings: with score and margins resolved.
        rank: the column that `range_min` and `range_max` are about.
        more_rules: expressions to keep by that no setting holds, by the reason that each gives.
        barred: rows that may not be chosen, as other queries use their document, shape (rows,).
        sources: that the candidates are from.

    Raises:
        UsageError: an expression cannot be used, or a derived column has the name of another.
    """

    def __init__(
        self,
        table: pa.Table,
        settings: FilterSettings,
        rank: str = "rank",
        more_rules: Mapping[str, str] | None = None,
        barred: Bools | None = None,
        sources: Sequence[str] = DEFAULT_SOURCES,
    ) -> None:
        self.settings, self._barred, self._sources = settings, barred, sources
        rows = table["query_row"].to_numpy()
        new_query = np.ones(len(rows), dtype=bool)
        new_query[1:] = rows[1:] != rows[:-1]
        self.query = np.cumsum(new_query) - 1
        self.first_rows = np.flatnonzero(new_query)
        self.is_positive: Bools = table["is_positive"].to_numpy()
        self.is_candidate: Bools = ~self.is_positive & ~table["is_query"].to_numpy()
        score = settings.score or "dense"
        score = schema.SCORES.get(score, score)
        for name, text in (
            ("score", f"{bracketed(score)}::double"),
            ("positive_score", f"{ANCHORS[settings.positive_score]}(score)"),
        ):
            column = evaluate(table, {name: text}, self.is_candidate)[name]
            if name in table.column_names:
                table = table.drop_columns(name)
            table = table.append_column(name, column)
        for name, text in settings.derive.items():
            check_new(name, table.column_names)
            column = evaluate(table, {name: text}, self.is_candidate)[name]
            table = table.append_column(name, column)
        self.table = table
        self.rules = [*rules(settings, rank).items(), *by_text(settings.where)]
        self.rules += (more_rules or {}).items()
        if "verdict" in table.column_names:
            self.rules.append(("verdict", f"coalesce(verdict < {schema.RELEVANT}, true)"))

    @property
    def anchor(self) -> NDArray[np.float64]:
        """The score of the query's positives, for each of its rows; NaN where it is unknown."""
        return numbers(self.table["positive_score"])

    @cached_property
    def reason(self) -> NDArray[np.str_]:
        """The first rule that dropped each row; `KEPT` where none did."""
        table, rules = self.table, self.rules
        if self.settings.lazy:
            # What is not scored yet falls only by what holds whatever its score will be.
            table = table.append_column("_undecided", pa.array(self._undecided))
            rules = [
                (name, f"case when _undecided then coalesce({whole}, true) else {whole} end")
                for name, whole in ((name, bracketed(rule)) for name, rule in rules)
            ]
        found = reasons(table, rules, self.is_candidate)
        if self.settings.lazy:
            found = renamed(found, self._undecided & (found == KEPT), NOT_SCORED)
        if self.settings.relabel is not None:
            become = evaluate(self.table, {"relabel": self.settings.relabel}, self.is_candidate)
            positive = truth(become["relabel"], self.settings.relabel) & self.is_candidate
            found = renamed(found, positive, RELABELLED)
        if self._barred is not None:
            found = renamed(found, self._barred & (found == KEPT), USED_UP)
        return found

    @cached_property
    def _unscored(self) -> Bools:
        unscored: Bools = pc.is_null(self.table["ce_score"]).to_numpy()
        return unscored

    @cached_property
    def _undecided(self) -> Bools:
        """Whether the score of each row, or of a positive of its query, is still to come."""
        anchors = np.bincount(
            self.query[self.is_positive & self._unscored], minlength=len(self.first_rows)
        )
        undecided: Bools = self._unscored | (anchors > 0)[self.query]
        return undecided

    @property
    def to_score(self) -> NDArray[np.int64]:
        """The rows that --lazy must score next: what the choice may come to, best rank first.

        For a query that lacks negatives, as many more as should yield them by what its survivors
        are among what was scored.
        """
        open_rows = self.reason == NOT_SCORED
        kept, scored = (
            np.bincount(self.query[rows], minlength=len(self.first_rows))
            for rows in (self.keep, self.is_candidate & ~self._unscored)
        )
        missing = np.maximum(self.asked - kept, 0)
        share = (kept + self.asked) / np.maximum(scored + self.asked, 1)
        ahead = np.ceil(missing / np.maximum(share, 1e-9)).astype(np.int64)
        reach = np.minimum(kept, self.asked) + ahead
        rank = np.arange(len(self.query))
        wanted = choose(self.query, self.keep | open_rows, rank, reach) & open_rows
        asking = np.bincount(self.query[wanted], minlength=len(self.first_rows)) > 0
        anchors = self.is_positive & asking[self.query]
        return np.flatnonzero((wanted | anchors) & self._unscored)

    @property
    def keep(self) -> Bools:
        """Whether each row may serve as a negative."""
        return self.reason == KEPT

    @cached_property
    def serves_as_positive(self) -> Bools:
        """Whether each row is a positive, known or made one, of a query that is used."""
        return (self.is_positive | (self.reason == RELABELLED)) & self.used

    @cached_property
    def asked(self) -> NDArray[np.int64]:
        """How many negatives each query should get."""
        return np.where(self.used[self.first_rows], self._budget, 0)

    @cached_property
    def selected(self) -> Bools:
        """Whether each row was chosen as a hard negative."""
        return self._choice & self.used

    @cached_property
    def used(self) -> Bools:
        """Whether the query of each row is used."""
        text = self.settings.query_where
        if text is None:
            return np.ones(len(self.query), dtype=bool)
        table = self.table.append_column("selected", pa.array(self._choice))
        table = table.append_column("reason", pa.array(self.reason))
        used = truth(evaluate(table, {"used": text}, self.is_candidate)["used"], text)
        return used[self.first_rows][self.query]

    @cached_property
    def _budget(self) -> NDArray[np.int64]:
        n = self.settings.num_negatives
        if self.settings.budget is None:
            return np.full(len(self.first_rows), n)
        budget = numbers(self._of_survivors(self.settings.budget))[self.first_rows]
        return np.clip(np.rint(np.nan_to_num(budget)), 0, n).astype(np.int64)

    @cached_property
    def _choice(self) -> Bools:
        settings, free = self.settings, self.keep
        if settings.within is not None:
            free = free & truth(self._of_survivors(settings.within), settings.within)
        order = self._order
        if settings.strata is not None:
            stratum = self._of_survivors(settings.strata).cast(pa.string()).fill_null("")
            order = spread(self.query, free, order, stratum.to_numpy(), self._noise)
        if not settings.quota:
            return choose(self.query, free, order, self._budget)
        selected = np.zeros(len(free), dtype=bool)
        for text, n in settings.quota.items():
            of_kind = free & ~selected & truth(self._of_survivors(text), text)
            selected |= choose(self.query, of_kind, order, np.full(len(self.first_rows), n))
        return selected

    def _of_survivors(self, text: str, among: Bools | None = None) -> pa.ChunkedArray:
        """Evaluate an expression whose functions of the query look at the survivors alone."""
        return evaluate(self.table, {"value": text}, self.keep if among is None else among)["value"]

    @cached_property
    def _noise(self) -> NDArray[np.uint64]:
        ids = (self.table[name].to_pylist() for name in ("query_id", "doc_id"))
        return keyed_noise(self.settings.seed, *ids)

    @property
    def _order(self) -> NDArray[Any]:
        """The smaller, the earlier a survivor is chosen."""
        sampling = self.settings.sampling
        if sampling == "top":
            return self._ranked
        weight = "1" if sampling == "random" else sampling
        weights = numbers(self._of_survivors(logarithm(weight)))
        if np.isnan(weights[self.keep]).any():
            raise InputError(
                f"--sampling {sampling!r} gives a survivor no weight.",
                why="It is negative or unknown there.",
                fix="Give an expression that is 0 or more for every survivor.",
            )
        return race(self._noise, weights)

    @cached_property
    def _ranked(self) -> NDArray[Any]:
        """The smaller, the better: what --order says."""
        if self.settings.order == "rank":
            return np.arange(len(self.query))  # Candidates stand in the order of their rank.
        order = numbers(self._of_survivors(self.settings.order))
        return np.where(np.isnan(order), np.inf, order)

    def scored(self) -> pa.Table:
        """Return the candidates with their verdicts: `schema.VERDICTS` after all other columns."""
        label = np.where(self.serves_as_positive, 1, 0).astype(np.int8)
        new: Mapping[str, pa.Array | pa.ChunkedArray] = {
            "score": self.table["score"],
            "positive_score": self.table["positive_score"],
            "keep": pa.array(self.keep),
            "reason": pa.array(self.reason, mask=self.keep),
            "selected": pa.array(self.selected),
            "place": pa.array(self._place, mask=~self.selected),
            "label": pa.array(label, mask=~(self.serves_as_positive | self.selected)),
            "weight": pa.array(self._weight, mask=~self.selected),
        }
        kept = [
            field
            for field in self.table.schema
            if field.name not in new and field.name not in ("query_row", "doc_row")
        ]
        return pa.Table.from_arrays(
            [self.table[field.name] for field in kept]
            + [new[name] for name in schema.VERDICTS.names],
            schema=pa.schema([*kept, *schema.VERDICTS]),
        )

    @cached_property
    def _weight(self) -> NDArray[np.float32]:
        if self.settings.weight is None:
            return np.ones(len(self.query), np.float32)
        weight = numbers(self._of_survivors(self.settings.weight, self.selected))
        if not (np.isfinite(weight[self.selected]) & (weight[self.selected] >= 0)).all():
            raise InputError(
                f"--weight {self.settings.weight!r} gives a chosen negative no weight.",
                why="It is negative, infinite or unknown there.",
                fix="Give an expression that is a number from 0 on for every chosen negative.",
            )
        return weight.astype(np.float32)

    @cached_property
    def _best_first(self) -> NDArray[np.int64]:
        """The rows of the chosen negatives, grouped by query, the best first."""
        negatives = np.flatnonzero(self.selected)
        return negatives[np.lexsort((negatives, self._ranked[negatives], self.query[negatives]))]

    @property
    def _place(self) -> NDArray[np.int32]:
        place = np.zeros(len(self.query), dtype=np.int32)
        place[self._best_first] = position_in_list(offsets_of(self.found))
        return place

    def chosen(self, candidates: Candidates) -> Chosen:
        """Return the texts of the positives and of the chosen negatives."""
        positives, negatives = np.flatnonzero(self.serves_as_positive), self._best_first
        rows = np.concatenate([positives, negatives])
        queries = len(self.first_rows)
        return Chosen(
            candidates.queries.texts.text_array(self._rows("query_row")[self.first_rows]),
            candidates.index.documents.text_array(self._rows("doc_row")[rows]),
            numbers(self.table["score"])[rows],
            np.arange(len(positives)),
            offsets_of(np.bincount(self.query[positives], minlength=queries)),
            np.arange(len(negatives)) + len(positives),
            offsets_of(np.bincount(self.query[negatives], minlength=queries)),
            {name: values.take(pa.array(rows)) for name, values in self.for_training.items()},
        )

    @cached_property
    def for_training(self) -> dict[str, pa.ChunkedArray]:
        """The further columns of the training data, for each row."""
        wanted = self.settings.train_column
        if not wanted:
            return {}
        table = self.table.append_column("selected", pa.array(self.selected))
        table = table.append_column("weight", pa.array(self._weight, mask=~self.selected))
        found = evaluate(table, wanted, self.selected)
        return {name: found[name] for name in wanted}

    def _rows(self, column: str) -> NDArray[np.int64]:
        values: NDArray[np.int64] = self.table[column].to_numpy()
        return values

    @cached_property
    def found(self) -> NDArray[np.int64]:
        """How many negatives were chosen for each query."""
        return np.bincount(self.query[self.selected], minlength=len(self.first_rows))

    @property
    def short_queries(self) -> NDArray[np.int64]:
        """The rows of the queries that got fewer negatives than asked."""
        return self._rows("query_row")[self.first_rows[self.found < self.asked]]

    @property
    def uses(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
        """The query row, the document row and the noise of every chosen negative."""
        at = np.flatnonzero(self.selected)
        return self._rows("query_row")[at], self._rows("doc_row")[at], self._noise[at]

    def hardness(self, similarity: str = "cosine") -> dict[str, int]:
        """Add up the losses and gradients of a student; see `hnmine.selection.hardness`.

        Args:
            similarity: what the bi-encoder's scores are.
        """
        chosen = (self.serves_as_positive, self.selected)
        return sums_of(self.table, self.query, *chosen, self._sources, similarity)
