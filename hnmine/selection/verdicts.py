"""The verdict on every candidate: the rule that drops it, or whether it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine import schema
from hnmine.choose import Directions, choose, choose_varied, no_vectors, race, spread
from hnmine.errors import InputError
from hnmine.exports.training_rows import training_weight
from hnmine.expressions.evaluation import evaluate, logarithm, truth
from hnmine.expressions.syntax import bracketed
from hnmine.keyed_noise import grouped_noise
from hnmine.ragged import Bools, Ints, offsets_of, position_in_list
from hnmine.relevance.evidence import numbers
from hnmine.selection.criteria import Choice, Rules
from hnmine.selection.derived_columns import with_columns
from hnmine.selection.document_cap import DocumentUses
from hnmine.selection.rules import KEPT, reasons, renamed

RELABELLED, USED_UP, VERDICT = "relabelled", "max-uses", "verdict"
NOT_SCORED = "not-scored"


class Verdicts:
    """Judges one part of the candidates, in which the rows of a query are consecutive.

    Args:
        table: rows of `schema.CANDIDATES`, and further columns to judge by.
        rules: what drops a candidate.
        choice: which survivors become negatives.
        over_cap: rows whose document other queries use up, shape (rows,).
        refuted: rows judged relevant after they were chosen: they are dropped, and no other row is
            chosen in their place, shape (rows,).
        directions: returns the unit vectors of rows, which a varied choice needs.
        judged: the reasons of rows whose table has all columns already, shape (rows,).

    Raises:
        UsageError: an expression cannot be used, or a derived column has the name of another.
    """

    def __init__(
        self,
        table: pa.Table,
        rules: Rules,
        choice: Choice,
        over_cap: Bools | None = None,
        refuted: Bools | None = None,
        directions: Directions = no_vectors,
        judged: NDArray[np.str_] | None = None,
    ) -> None:
        self.choice, self.rules, self._directions = choice, rules, directions
        self._over_cap, self._refuted, self._judged = over_cap, refuted, judged
        rows = table["query_row"].to_numpy()
        new_query = np.ones(len(rows), dtype=bool)
        new_query[1:] = rows[1:] != rows[:-1]
        self.query = np.cumsum(new_query) - 1
        self.first_rows = np.flatnonzero(new_query)
        self.is_positive: Bools = table["is_positive"].to_numpy()
        self.is_candidate: Bools = ~self.is_positive & ~table["is_query"].to_numpy()
        if judged is None:
            table = with_columns(table, rules, self.is_candidate)
        self.table = table
        self.expressions = list(rules.expressions)
        if VERDICT in table.column_names:
            self.expressions.append((VERDICT, f"coalesce(verdict < {schema.RELEVANT}, true)"))

    @cached_property
    def reason(self) -> NDArray[np.str_]:
        """The first rule that dropped each row; `KEPT` where none did."""
        if self._refuted is None:
            return self._reason_before
        name = RELABELLED if self.rules.relabel_judged else VERDICT
        return renamed(self._reason_before, self._refuted & self._chosen, name)

    @cached_property
    def _reason_before(self) -> NDArray[np.str_]:
        """The reason of each row before its verdict is known."""
        reason = self.uncapped_reason
        if self._over_cap is not None:
            reason = renamed(reason, self._over_cap & (reason == KEPT), USED_UP)
        return reason

    @cached_property
    def uncapped_reason(self) -> NDArray[np.str_]:
        """The reason of each row by the rules alone, before the document cap."""
        if self._judged is not None:
            return self._judged
        table, expressions, lazy = self.table, self.expressions, self.rules.lazy
        if lazy:
            # Without its score, a row is dropped only by rules that no score can change.
            table = table.append_column("_undecided", pa.array(self._undecided))
            expressions = [
                (name, f"case when _undecided then coalesce({rule}, true) else {rule} end")
                for name, rule in ((name, bracketed(text)) for name, text in expressions)
            ]
        reason = reasons(table, expressions, self.is_candidate)
        if lazy:
            reason = renamed(reason, self._undecided & (reason == KEPT), NOT_SCORED)
        if (text := self.rules.relabel) is not None:
            relabel = evaluate(self.table, {"relabel": text}, self.is_candidate)["relabel"]
            reason = renamed(reason, truth(relabel, text) & self.is_candidate, RELABELLED)
        if self.rules.relabel_judged and VERDICT in self.table.column_names:
            judged = numbers(self.table[VERDICT]) >= schema.RELEVANT
            reason = renamed(reason, judged & self.is_candidate, RELABELLED)
        return reason

    @cached_property
    def _unscored(self) -> Bools:
        unscored: Bools = pc.is_null(self.table["ce_score"]).to_numpy()
        return unscored

    @cached_property
    def _undecided(self) -> Bools:
        """Whether each row, or a positive of its query, has no score yet."""
        anchors = np.bincount(
            self.query[self.is_positive & self._unscored], minlength=len(self.first_rows)
        )
        undecided: Bools = self._unscored | (anchors > 0)[self.query]
        return undecided

    @property
    def to_score(self) -> Ints:
        """The rows that --lazy must score next: those that may be chosen, best rank first.

        A query that lacks negatives gets as many more rows as should yield them, by the share of
        survivors among its scored rows.
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

    @property
    def _survives(self) -> Bools:
        return self._reason_before == KEPT

    @cached_property
    def serves_as_positive(self) -> Bools:
        """Whether each row is a positive, known or relabelled, of a query that is used."""
        return (self.is_positive | (self.reason == RELABELLED)) & self.used

    @cached_property
    def asked(self) -> Ints:
        """How many negatives each query should get."""
        return np.where(self.used[self.first_rows], self._most, 0)

    @cached_property
    def selected(self) -> Bools:
        """Whether each row was chosen as a hard negative."""
        return self._chosen & self.used & self.keep

    @cached_property
    def used(self) -> Bools:
        """Whether the query of each row is used."""
        text = self.choice.query_where
        if text is None:
            return np.ones(len(self.query), dtype=bool)
        table = self.table.append_column("selected", pa.array(self._chosen))
        # A proof holds for the queries of the draw: verdicts on it must not change them.
        table = table.append_column("reason", pa.array(self._reason_before))
        used = truth(evaluate(table, {"used": text}, self.is_candidate)["used"], text)
        return used[self.first_rows][self.query]

    @cached_property
    def _most(self) -> Ints:
        n = self.choice.num_negatives
        if self.choice.per_query is None:
            return np.full(len(self.first_rows), n)
        most = numbers(self._of_survivors(self.choice.per_query))[self.first_rows]
        return np.clip(np.rint(np.nan_to_num(most)), 0, n).astype(np.int64)

    @property
    def eligible(self) -> Bools:
        """Whether each row may be chosen: it was kept, is among those asked for and of use."""
        return self._open_to_choice & self.used

    @cached_property
    def _open_to_choice(self) -> Bools:
        if (within := self.choice.within) is None:
            return self._survives
        return self._survives & truth(self._of_survivors(within), within)

    @cached_property
    def _chosen(self) -> Bools:
        choice, eligible, order = self.choice, self._open_to_choice, self._order
        if choice.strata is not None:
            stratum = self._of_survivors(choice.strata).cast(pa.string()).fill_null("")
            order = spread(self.query, eligible, order, stratum.to_numpy(), self._noise)
        pick = partial(choose_varied, choice.diversity, self._directions, self.query)
        if not choice.quota:
            return pick(eligible, order, self._most)
        chosen = np.zeros(len(eligible), dtype=bool)
        for text, n in choice.quota.items():
            of_kind = eligible & ~chosen & truth(self._of_survivors(text), text)
            chosen |= pick(of_kind, order, np.full(len(self.first_rows), n))
        return chosen

    def _of_survivors(self, text: str, among: Bools | None = None) -> pa.ChunkedArray:
        """Evaluate an expression whose functions of the query see survivors only."""
        among = self._survives if among is None else among
        return evaluate(self.table, {"value": text}, among)["value"]

    @cached_property
    def _noise(self) -> NDArray[np.uint64]:
        return self._noise_of(np.arange(len(self.query)))

    def _noise_of(self, rows: Ints) -> NDArray[np.uint64]:
        """Return a random number for each row, by its ids."""
        queries = self.table["query_id"].take(pa.array(self.first_rows)).to_pylist()
        documents = self.table["doc_id"].take(pa.array(rows)).to_pylist()
        return grouped_noise(self.choice.seed, queries, self.query[rows], documents)

    @property
    def _order(self) -> NDArray[Any]:
        """Sort keys: the survivor with the smallest is chosen first."""
        sampling = self.choice.sampling
        if sampling == "top":
            return self._ranked
        weight = "1" if sampling == "random" else sampling
        weights = numbers(self._of_survivors(logarithm(weight)))
        if np.isnan(weights[self._survives]).any():
            raise InputError(
                f"--sampling {sampling!r} gives a survivor no weight.",
                why="The expression is negative or null for it.",
                fix="Pass an expression that is 0 or more for every survivor.",
            )
        return race(self._noise, weights)

    @cached_property
    def _ranked(self) -> NDArray[Any]:
        """The values of --order: the smallest is the best."""
        if self.choice.order == "rank":
            return np.arange(len(self.query))  # Rows are sorted by rank.
        order = numbers(self._of_survivors(self.choice.order))
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
        if self.choice.weight is None:
            return np.ones(len(self.query), np.float32)
        weight = numbers(self._of_survivors(self.choice.weight, self.selected))
        if not (np.isfinite(weight[self.selected]) & (weight[self.selected] >= 0)).all():
            raise InputError(
                f"--weight {self.choice.weight!r} gives a chosen negative no weight.",
                why="The expression is negative, infinite or null for it.",
                fix="Pass an expression that is a finite number, 0 or more, for every chosen "
                "negative.",
            )
        return weight.astype(np.float32)

    @cached_property
    def best_first(self) -> Ints:
        """The rows of the chosen negatives, by query, the best first."""
        negatives = np.flatnonzero(self.selected)
        return negatives[np.lexsort((negatives, self._ranked[negatives], self.query[negatives]))]

    @property
    def _place(self) -> NDArray[np.int32]:
        place = np.zeros(len(self.query), dtype=np.int32)
        place[self.best_first] = position_in_list(offsets_of(self.chosen_counts))
        return place

    @cached_property
    def for_training(self) -> dict[str, pa.ChunkedArray]:
        """The further columns of the training data, for each row."""
        wanted = self.choice.train_column
        if not wanted:
            return {}
        table = self.table.append_column("selected", pa.array(self.selected))
        weight = pa.array(self._weight, mask=~self.selected)
        weight = training_weight(pa.array(self.serves_as_positive), weight)
        table = table.append_column("weight", weight)
        columns = evaluate(table, wanted, self.selected)
        return {name: columns[name] for name in wanted}

    def _rows(self, column: str) -> Ints:
        values: Ints = self.table[column].to_numpy()
        return values

    @cached_property
    def chosen_counts(self) -> Ints:
        """How many negatives were chosen for each query."""
        return np.bincount(self.query[self.selected], minlength=len(self.first_rows))

    @property
    def short_queries(self) -> Ints:
        """The rows of the queries that got fewer negatives than asked."""
        return self._rows("query_row")[self.first_rows[self.chosen_counts < self.asked]]

    @property
    def uses(self) -> DocumentUses:
        """The documents chosen for each query, by row."""
        return self._uses(np.flatnonzero(self.selected))

    @property
    def ranked(self) -> DocumentUses:
        """The documents that may be chosen for each query, by row, the best first."""
        rows = np.flatnonzero(self.eligible)
        return self._uses(rows[np.lexsort((rows, self._order[rows], self.query[rows]))])

    def _uses(self, rows: Ints) -> DocumentUses:
        query, document = (self._rows(name)[rows] for name in ("query_row", "doc_row"))
        return DocumentUses(query, document, self._noise_of(rows))
