"""Candidates with the scores of all judges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from hnmine import schema
from hnmine.directories.candidates import Candidates
from hnmine.errors import UsageError, damage_explained
from hnmine.judges.judge import Judge
from hnmine.judges.lazy import LazyCrossEncoderJudge
from hnmine.judges.similarity import PositiveSimilarity
from hnmine.names import repeated
from hnmine.ragged import Bools, Floats, Ints
from hnmine.relevance.evidence import numbers
from hnmine.relevance.model import NOT_EVIDENCE, Relevance, Sample
from hnmine.relevance.shortcut_price import SHORTCUTS, Shortcut, shortcut_cost
from hnmine.relevance.within_query import positives_above
from hnmine.runner.run_directory import Counts, Tick
from hnmine.runner.task_share import Share
from hnmine.selection.cascade import Cascade
from hnmine.selection.criteria import Choice, Rules

PAIRS_PER_WAVE = 1 << 22
"""Pairs that a wave of the cascade scores, about: they are in memory at once."""

Timed = Callable[[str], AbstractContextManager[None]]

SAMPLE_QUERIES = 5000
"""Queries in the sample: enough for a few weights; more would only take time."""


class ScoredCandidates:
    """Candidates and their judges.

    Attributes:
        cascade: what is dropped before the cross-encoders score; None if they score all.
        columns: scores that the relevance model uses.
        place: an expression for how deep a candidate is in the ranking of the bi-encoder, which
            will train on it; in the fused ranking without a bi-encoder.
        directions: returns the unit vectors of documents, given by row; None without vectors.
    """

    def __init__(
        self, candidates: Candidates, judges: Sequence[Judge], cascade: Cascade | None = None
    ) -> None:
        self.candidates, self.judges, self.cascade = candidates, judges, cascade
        by = candidates.manifest.scores
        vectors = [judge for judge in judges if isinstance(judge, PositiveSimilarity)]
        self.directions = vectors[0].directions if vectors else None
        self._judged = [judge.column for judge in judges]
        self.columns = [judge.column for judge in judges if judge.column not in NOT_EVIDENCE]
        self.columns += [schema.SCORES[name] for name in ("dense", "bm25") if name in by]
        self.place = "rank(dense_score)" if "dense" in by else "rank"

    def read(self, part: int) -> pa.Table:
        """Read one part of the candidates with the judges' scores."""
        table, needed = self._with_cheap_scores(part)
        for judge in self.judges:
            if judge.column not in table.column_names:
                scores = _as_array(judge.read(part))
                if needed is not None:
                    scores = pc.if_else(pa.array(needed), scores, None)
                table = table.append_column(schema.judged(judge.column), scores)
        names = [name for name in table.column_names if name not in self._judged]
        return table.select([*names, *self._judged])

    def _with_cheap_scores(self, part: int) -> tuple[pa.Table, Bools | None]:
        """Read a part with the scores that cost little, and which of its rows need the others."""
        table = self.candidates.read(part)
        if self.cascade is None:
            return table, None
        for judge in self.judges:
            if judge.column not in self.cascade.costly:
                scores = _as_array(judge.read(part))
                table = table.append_column(schema.judged(judge.column), scores)
        return table, self.cascade.needed(table)

    def in_order(self, asked: tuple[Rules, Choice]) -> tuple[Rules, Choice]:
        """Return what is asked for, with the rules of the cascade first."""
        rules, choice = asked
        return (self.cascade.in_order(rules) if self.cascade else rules), choice

    def score(self, *, progress: bool, timed: Timed, share: Share) -> Counts:
        """Score what is needed and missing, and return the counts."""
        counts: dict[str, int] = {}
        costly = self.cascade.costly if self.cascade else ()
        for judge in sorted(self.judges, key=lambda judge: judge.column in costly):
            with timed(judge.column):
                if judge.column not in costly:
                    counts |= judge.compute(progress=progress, share=share)
                elif isinstance(judge, LazyCrossEncoderJudge):
                    wave = partial(self._wave, judge, _From())
                    judge.score_what(wave, progress=progress, share=share)
        return counts  # Those of the cascade do not depend on what is cached: see `write`.

    def _wave(self, judge: LazyCrossEncoderJudge, begin: _From) -> list[Ints]:
        """Return the next rows of each part that need a score and have none."""
        rows = [np.empty(0, np.int64) for _ in self.candidates.part_rows]
        while begin.part < len(rows) and sum(map(len, rows)) < PAIRS_PER_WAVE:
            needed = self._with_cheap_scores(begin.part)[1]
            unknown = judge.read(begin.part).is_null().to_numpy(zero_copy_only=False)
            rows[begin.part] = np.flatnonzero(needed & unknown)
            begin.part += 1
        return rows

    def empty(self) -> pa.Table:
        """Return the table that `estimated` returns, without rows.

        Raises:
            UsageError: two columns have one name.
        """
        with damage_explained(self.candidates.parts[0]):
            present = pq.read_schema(self.candidates.parts[0]).names
        added = [*(judge.column for judge in self.judges), *schema.ESTIMATES.names]
        if name := repeated([*present, *added]):
            raise UsageError(
                f"Two columns would be named {name}.",
                why="One is an --attribute of the candidates, the other a column of hnmine or of a "
                "judge, which is named after its folder.",
                fix="Mine again, into a new directory, with another name for the attribute.",
            )
        table = self.candidates.read(0).slice(0, 0)
        for judge in self.judges:
            table = table.append_column(schema.judged(judge.column), pa.array([], pa.float32()))
        return self.estimated(table, None)

    def estimated(
        self,
        table: pa.Table,
        model: Relevance | None,
        sample: Sample | None = None,
        prices: Mapping[Shortcut, float] = MappingProxyType({}),
    ) -> pa.Table:
        """Add the estimates of the relevance model to a part; null without a model.

        Args:
            table: the part.
            model: of relevance.
            sample: the part as `sample_of` returns it, where that was done already.
            prices: of shortcuts.
        """
        columns = dict.fromkeys(schema.ESTIMATES.names, pa.nulls(table.num_rows, pa.float32()))
        if model:
            found = vars(model.estimate(sample or self.sample_of(table)))
            found["shortcut"] = np.zeros(table.num_rows) + shortcut_cost(
                self.positives_above(table, prices), prices
            )
            columns = {name: pa.array(values, pa.float32()) for name, values in found.items()}
        for field in schema.ESTIMATES:
            table = table.append_column(field, columns[field.name])
        return table

    def sample_of(self, table: pa.Table) -> Sample:
        """Return rows of a part as the relevance model takes them."""
        sources, reach = self.candidates.sources, self.candidates.reach
        return Sample(table, self.columns, sources, reach, self.directions)

    def positives_above(
        self, table: pa.Table, shortcuts: Iterable[Shortcut] = SHORTCUTS
    ) -> dict[Shortcut, Floats]:
        """Return by shortcut the share of a query's positives above each row of a part."""
        positive, query = table["is_positive"].to_numpy(), table["query_row"].to_numpy()
        return {
            name: positives_above(self._shortcut_score(table, name), positive, query)
            for name in shortcuts
        }

    def _shortcut_score(self, table: pa.Table, shortcut: Shortcut) -> Floats:
        if shortcut == "bm25":
            return numbers(table["bm25_score"])
        documents = self.candidates.index.documents
        return documents.sizes(table["doc_row"].to_numpy()).astype(np.float64)

    def sample(self, tick: Tick) -> pa.Table:
        """Read the rows of some queries; the order of the candidates makes no difference."""
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


@dataclass
class _From:
    """The part that the next wave begins with."""

    part: int = 0


def _as_array(scores: NDArray[np.float32] | pa.Array) -> pa.Array:
    return scores if isinstance(scores, pa.Array) else pa.array(scores)


def _uniform(query_id: str) -> float:
    return xxhash.xxh3_64_intdigest(query_id.encode("utf-8", "surrogatepass"), 5) / 2.0**64
