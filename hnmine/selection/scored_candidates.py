"""What `filter` learns about the candidates before it judges them, from a sample of the queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from hnmine import schema
from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.errors import UsageError, damage_explained
from hnmine.expressions.evaluation import evaluate, truth
from hnmine.judges.judge import Judge
from hnmine.names import repeated
from hnmine.relevance.calibrate import cut_expression, cuts_by_group
from hnmine.relevance.curve import curve
from hnmine.relevance.depth_price import price_of_depth
from hnmine.relevance.depth_trial import USUAL
from hnmine.relevance.evidence import numbers
from hnmine.relevance.model import NOT_EVIDENCE, Relevance, Sample
from hnmine.runner.run_directory import Tick
from hnmine.selection.depth_trial_data import try_depths
from hnmine.selection.rules import BELOW_THE_POSITIVE

SAMPLE_QUERIES = 5000
"""Enough for a few weights; more would only take time."""


class Evidence:
    """The candidates with the scores of all judges, and what was learned from them.

    Attributes:
        columns: that hold evidence.
        place: an expression for how deep a candidate stands: for the bi-encoder, as that is what
            learns from it.
    """

    def __init__(self, candidates: Candidates, judges: list[Judge]) -> None:
        self.candidates, self.judges = candidates, judges
        scored = candidates.manifest.scores
        self.columns = [judge.column for judge in judges if judge.column not in NOT_EVIDENCE]
        self.columns += [schema.SCORES[name] for name in ("dense", "bm25") if name in scored]
        self.place = "rank(dense_score)" if "dense" in scored else "rank"

    def read(self, part: int) -> pa.Table:
        """Read one part of the candidates with the judges' scores."""
        table = self.candidates.read(part)
        for judge in self.judges:
            scores = judge.read(part)
            scores = scores if isinstance(scores, pa.Array) else pa.array(scores)
            table = table.append_column(schema.judged(judge.column), scores)
        return table

    def empty(self) -> pa.Table:
        """Return the table that `estimated` returns, without rows.

        Raises:
            UsageError: two columns have one name.
        """
        with damage_explained(self.candidates.parts[0]):
            there = pq.read_schema(self.candidates.parts[0]).names
        added = [*(judge.column for judge in self.judges), *schema.ESTIMATES.names]
        if name := repeated([*there, *added]):
            raise UsageError(
                f"Two columns would be named {name}.",
                why="One is an --attribute of the candidates. hnmine, or a judge that is named "
                "after its folder, has the other.",
                fix="Mine again, into a new directory, with another name for the attribute.",
            )
        table = self.candidates.read(0).slice(0, 0)
        for judge in self.judges:
            table = table.append_column(schema.judged(judge.column), pa.array([], pa.float32()))
        return self.estimated(table, None)

    def estimated(self, table: pa.Table, model: Relevance | None) -> pa.Table:
        """Add what the model makes of a part's evidence; null without a model."""
        nothing = pa.nulls(table.num_rows, pa.float32())
        columns = dict.fromkeys(schema.ESTIMATES.names, nothing)
        if model:
            found = vars(model.estimate(Sample(table, self.columns, self.candidates.sources)))
            columns = {name: pa.array(values, pa.float32()) for name, values in found.items()}
        for field in schema.ESTIMATES:
            table = table.append_column(field, columns[field.name])
        return table

    def learn(self, settings: FilterSettings, tick: Tick) -> dict[str, Any]:
        """Learn from the sample of queries.

        Raises:
            UsageError: there are too few positives for what the settings ask.
        """
        table = self._sample(tick)
        sample = Sample(table, self.columns, self.candidates.sources)
        model = Relevance.learn(sample)
        found = model.as_json()
        estimates = model.estimate(sample)
        evidence, relevance = estimates.evidence, estimates.relevance
        free = sample.candidate & ~(
            pc.fill_null(table["near_copy"], 0).to_numpy() >= settings.near_copy
        )
        if settings.target_fn_rate is not None:
            positive = sample.is_positive & sample.found
            estimated = self.estimated(table, model)
            by = settings.calibrate_by
            group = _groups(estimated, by, sample.candidate)
            cuts = cuts_by_group(evidence[positive], group[positive], settings.target_fn_rate)
            found["cuts"] = {name: vars(cut) for name, cut in cuts.items()}
            found["cut_rule"] = cut_expression(cuts, by)
            below = evaluate(estimated, {"below": found["cut_rule"]}, sample.candidate)["below"]
            free &= truth(below, found["cut_rule"])
        found["place"] = self.place
        place = numbers(evaluate(table, {"place": self.place}, sample.candidate)["place"])
        asked = settings.num_negatives
        found["where"] = []
        if settings.depth is not None:
            found["depth"] = settings.depth
        elif model.share is None or settings.chooses_otherwise:
            found["depth"] = USUAL
        else:
            tried = free & (estimates.p_relevant <= settings.highest_p_relevant)
            below = evaluate(table, {"below": BELOW_THE_POSITIVE}, sample.candidate)["below"]
            below = truth(below, BELOW_THE_POSITIVE)
            given = (tried, below, relevance, place, asked, settings.cpu_threads)
            found |= try_depths(self.candidates, table, *given)
            if found["depth"] < USUAL:  # As it was tried; see `trial.compare`.
                found["where"] = [BELOW_THE_POSITIVE]
                free &= below
        price = price_of_depth(sample.query, free, relevance, place, asked, found["depth"])
        found["price_of_depth"] = price
        if model.share is not None:
            found["curve"] = list(curve(sample, estimates, free, price, place, asked))
        return found

    def _sample(self, tick: Tick) -> pa.Table:
        """Read the rows of some queries, the same in whatever order they came."""
        share = min(1.0, SAMPLE_QUERIES / max(1, len(self.candidates.queries.mined)))
        parts: list[pa.Table] = []
        for part, rows in enumerate(self.candidates.part_rows):
            ids = self.candidates.read(part, ["query_id"])["query_id"].combine_chunks()
            ids = ids.dictionary_encode()
            drawn = [_uniform(query_id) < share for query_id in ids.dictionary.to_pylist()]
            if any(drawn) or not parts:
                chosen = np.array(drawn, dtype=bool)[ids.indices.to_numpy()]
                parts.append(self.read(part).filter(pa.array(chosen)))
            tick(rows)
        return pa.concat_tables(parts).sort_by(
            [("query_id", "ascending"), ("query_row", "ascending"), ("doc_id", "ascending")]
        )


def _groups(table: pa.Table, by: str | None, candidate: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Return the group that each row is calibrated in."""
    if by is None:
        return np.full(table.num_rows, "", dtype=str)
    values = evaluate(table, {"group": by}, candidate)["group"].cast(pa.string())
    groups: NDArray[np.str_] = values.fill_null("").to_numpy().astype(str)
    return groups


def _uniform(query_id: str) -> float:
    return xxhash.xxh3_64_intdigest(query_id.encode("utf-8", "surrogatepass"), 5) / 2.0**64
