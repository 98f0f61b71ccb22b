"""The verdict on every candidate of a block of queries: its scores, why it fell, or its use."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine import compat, schema
from hnmine.candidates import Candidates
from hnmine.config import FilterSettings
from hnmine.export.chosen import Chosen
from hnmine.filters import FILTERS, KEPT, reasons
from hnmine.filters.base import Block
from hnmine.index.topk import offsets_of
from hnmine.select import choose, keyed_noise

SCORE_COLUMNS = {"dense": "dense_score", "bm25": "bm25_score"}
NO_CANDIDATES = "no-candidates"
NO_RANK = np.iinfo(np.int32).max


class Verdicts:
    """Judges one part of the candidates; all rows of a query stand together.

    Args:
        table: rows of `schema.CANDIDATES`.
        logits: of the cross-encoder, shape (rows,), or None.
        settings: with score and margins resolved.
        pool: with `--compat`, how many documents of the dense ranking are looked at.
    """

    def __init__(
        self,
        table: pa.Table,
        logits: NDArray[np.float32] | None,
        settings: FilterSettings,
        pool: int | None = None,
    ) -> None:
        self.table, self.logits, self.settings, self.pool = table, logits, settings, pool
        rows = table["query_row"].to_numpy()
        new_query = np.ones(len(rows), dtype=bool)
        new_query[1:] = rows[1:] != rows[:-1]
        self.query = np.cumsum(new_query) - 1
        self.first_rows = np.flatnonzero(new_query)
        self.is_positive = table["is_positive"].to_numpy()

    @cached_property
    def score(self) -> NDArray[np.float64]:
        """The score that the rules compare; NaN where there is none."""
        if self.settings.score == "ce":
            assert self.logits is not None
            return self.logits.astype(np.float64)
        column = self.table[SCORE_COLUMNS[self.settings.score or "dense"]]
        scores: NDArray[np.float64] = pc.fill_null(column, np.nan).to_numpy().astype(np.float64)
        return scores

    @cached_property
    def anchor(self) -> NDArray[np.float64]:
        """The score of the query's positives, for each of its rows."""
        queries = len(self.first_rows)
        owner, scores = self.query[self.is_positive], self.score[self.is_positive]
        if self.settings.positive_score == "mean":
            total = np.bincount(owner, weights=scores, minlength=queries)
            with np.errstate(invalid="ignore"):
                anchors = total / np.bincount(owner, minlength=queries)
        else:
            smallest = self.settings.positive_score == "min"
            anchors = np.full(queries, np.inf if smallest else -np.inf)
            with np.errstate(invalid="ignore"):  # NaN wins, and then drops the query's candidates.
                (np.minimum if smallest else np.maximum).at(anchors, owner, scores)
        return anchors[self.query]

    @cached_property
    def reason(self) -> NDArray[np.str_]:
        """The first rule that dropped each row; `KEPT` where none did."""
        settings = self.settings
        if settings.compat:
            settings = settings.model_copy(update={"range_min": 0, "range_max": self.pool})
        rank = self.table["dense_rank" if settings.compat else "rank"]
        block = Block(
            self.score,
            self.anchor,
            pc.fill_null(rank, NO_RANK).to_numpy().astype(np.int64),
            self.is_positive,
            self.table["is_query"].to_numpy(),
            pc.fill_null(self.table["near_copy"], np.nan).to_numpy(),
        )
        reason = reasons(block, settings)
        if settings.compat:
            keep = reason == KEPT
            reason[compat.outside_window(self.query, keep, self.score, self.settings)] = "rank"
        return reason

    @cached_property
    def keep(self) -> NDArray[np.bool_]:
        """Whether each row may serve as a negative."""
        return self.reason == KEPT

    @cached_property
    def selected(self) -> NDArray[np.bool_]:
        """Whether each row was chosen as a hard negative."""
        return choose(self.query, self.keep, self._order, self.settings.num_negatives)

    @property
    def _order(self) -> NDArray[Any]:
        """The smaller, the earlier a survivor is chosen; candidates stand in retrieval order."""
        if self.settings.sampling == "random":
            return keyed_noise(
                self.settings.seed,
                self.table["query_id"].to_pylist(),
                self.table["doc_id"].to_pylist(),
            )
        return -self.score if self.settings.compat else np.arange(len(self.query))

    def scored(self) -> pa.Table:
        """Return the candidates with their verdicts, `schema.SCORED`."""
        rows = len(self.query)
        label = np.where(self.is_positive, 1, 0).astype(np.int8)
        new = {
            "ce_score": pa.nulls(rows, pa.float32())
            if self.logits is None
            else pa.array(self.logits),
            "positive_score": pa.array(self.anchor),
            "keep": pa.array(self.keep),
            "reason": pa.array(self.reason, mask=self.keep),
            "selected": pa.array(self.selected),
            "label": pa.array(label, mask=~(self.is_positive | self.selected)),
            "weight": pa.array(np.ones(rows, np.float32), mask=~self.selected),
        }
        columns = [
            new[field.name] if field.name in new else self.table[field.name]
            for field in schema.SCORED
        ]
        return pa.Table.from_arrays(columns, schema=schema.SCORED)

    def chosen(self, candidates: Candidates) -> Chosen:
        """Return the texts of the positives and of the chosen negatives."""
        positives, negatives = np.flatnonzero(self.is_positive), np.flatnonzero(self.selected)
        if self.settings.compat:
            negatives = negatives[np.lexsort((-self.score[negatives], self.query[negatives]))]
        rows = np.concatenate([positives, negatives])
        queries = len(self.first_rows)
        return Chosen(
            candidates.queries.texts.text_array(self._rows("query_row")[self.first_rows]),
            candidates.index.documents.text_array(self._rows("doc_row")[rows]),
            self.score[rows],
            np.arange(len(positives)),
            offsets_of(np.bincount(self.query[positives], minlength=queries)),
            np.arange(len(negatives)) + len(positives),
            offsets_of(np.bincount(self.query[negatives], minlength=queries)),
        )

    def _rows(self, column: str) -> NDArray[np.int64]:
        values: NDArray[np.int64] = self.table[column].to_numpy()
        return values

    def shortfall(self) -> pa.Table:
        """Return the queries that got fewer negatives than asked, `schema.SHORTFALL`."""
        queries, asked = len(self.first_rows), self.settings.num_negatives
        found = np.bincount(self.query[self.selected], minlength=queries)
        short = np.flatnonzero(found < asked)
        names = [name for name in FILTERS if name != "positive"]
        dropped = np.stack(
            [np.bincount(self.query[self.reason == name], minlength=queries) for name in names]
        )
        candidates = np.bincount(self.query[~self.is_positive], minlength=queries)
        worst = np.array([*names, NO_CANDIDATES])[
            np.where(dropped.any(axis=0), dropped.argmax(axis=0), len(names))
        ]
        return pa.Table.from_arrays(
            [
                self.table["query_id"].take(pa.array(self.first_rows[short])),
                pa.array(np.full(len(short), asked), pa.int32()),
                pa.array(found[short], pa.int32()),
                pa.array(candidates[short], pa.int32()),
                pa.array(worst[short]),
            ],
            schema=schema.SHORTFALL,
        )

    def counts(self) -> dict[str, int]:
        """Count what became of the rows; `negatives_missing` is what was asked and not found."""
        dropped = Counter(self.reason[~self.keep & ~self.is_positive].tolist())
        asked = len(self.first_rows) * self.settings.num_negatives
        found = int(self.selected.sum())
        return {
            "queries": len(self.first_rows),
            "positives": int(self.is_positive.sum()),
            "candidates": int((~self.is_positive).sum()),
            **{f"dropped_{name}": count for name, count in sorted(dropped.items())},
            "kept": int(self.keep.sum()),
            "negatives_asked": asked,
            "negatives": found,
            "negatives_missing": asked - found,
        }
