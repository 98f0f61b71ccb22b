"""Candidates with the scores of all judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from hnmine import schema
from hnmine.directories.candidates import Candidates
from hnmine.errors import UsageError, damage_explained
from hnmine.judges.judge import Judge
from hnmine.judges.similarity import PositiveSimilarity
from hnmine.names import repeated
from hnmine.ragged import Floats
from hnmine.relevance.evidence import numbers
from hnmine.relevance.model import NOT_EVIDENCE, Relevance, Sample
from hnmine.relevance.shortcut_price import SHORTCUTS, Shortcut, shortcut_cost
from hnmine.relevance.within_query import positives_above
from hnmine.runner.run_directory import Tick

SAMPLE_QUERIES = 5000
"""Queries in the sample: enough for a few weights; more would only take time."""


class ScoredCandidates:
    """Candidates and their judges.

    Attributes:
        columns: scores that the relevance model uses.
        place: an expression for how deep a candidate is in the ranking of the bi-encoder, which
            will train on it; in the fused ranking without a bi-encoder.
    """

    def __init__(self, candidates: Candidates, judges: Sequence[Judge]) -> None:
        self.candidates, self.judges = candidates, judges
        by = candidates.manifest.scores
        vectors = [judge for judge in judges if isinstance(judge, PositiveSimilarity)]
        self._directions = vectors[0].directions if vectors else None
        self.columns = [judge.column for judge in judges if judge.column not in NOT_EVIDENCE]
        self.columns += [schema.SCORES[name] for name in ("dense", "bm25") if name in by]
        self.place = "rank(dense_score)" if "dense" in by else "rank"

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
        return Sample(table, self.columns, sources, reach, self._directions)

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


def _uniform(query_id: str) -> float:
    return xxhash.xxh3_64_intdigest(query_id.encode("utf-8", "surrogatepass"), 5) / 2.0**64
