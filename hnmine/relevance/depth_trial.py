"""A trial of depths: linear probes train on some queries' negatives and rank the others' positives.

The best hardness depends on the collection. Where few documents near a query are relevant, the
nearest negatives teach most. Where many are relevant and few are labelled, the nearest are false
negatives. The known positives show which: a probe trained on false negatives ranks the positives of
other queries lower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash

from hnmine.choose import choose
from hnmine.directories.candidates import Candidates
from hnmine.keyed_noise import hashes, keyed_noise
from hnmine.ragged import Bools, Floats, Ints, offsets_of, position_in_list
from hnmine.relevance.depth_price import cost, price_of_depth
from hnmine.relevance.depth_rule import SHALLOW, DepthRule
from hnmine.relevance.kept_trial import KeptTrial
from hnmine.relevance.learned import DepthTrial
from hnmine.relevance.probes import ProbeData, TriedDepth, compare
from hnmine.relevance.projection import subspace, unit_vectors
from hnmine.sources.queryvectors import QueryVectors

DEPTHS = (0.0, 5.0, 10.0, 20.0, 40.0)
"""Depths that are compared with the rule's; 0 takes the nearest."""

APART = 1.25
"""Depths are compared with the rule's if one is at least so many times the other."""

FEWEST, MOST = 100, 512
"""Queries with a known positive: with fewer, chance decides; more would only take time."""

MOST_NEGATIVES = 5
MOST_POSITIVES = 4
"""Of a query, drawn by id: further ones would only take time."""

DOCUMENTS = 1 << 13
"""Documents that positives are ranked among, besides those that the probes train on."""

SEED = 8

VERSION = 2
"""Of the trial: a change of how it is made or measured must change this."""


@dataclass(frozen=True)
class TrialRows:
    """Rows of a sample of queries, sorted by query, shape (rows,) each.

    Attributes:
        table: the candidates.
        eligible: whether a row may be chosen.
        below_positive: whether it scores below its query's positive.
        relevance: log likelihood ratio.
        depth: how deep it is.
    """

    table: pa.Table
    eligible: Bools
    below_positive: Bools
    relevance: Floats
    depth: Floats

    def draw(self) -> TrialRows | None:
        """Return the rows of the queries to try depths on; None if there are too few.

        They have a positive and a candidate that may be chosen: without one, all depths would train
        on the same random documents, and look as good as those.
        """
        query_rows = self.table["query_row"].to_numpy()
        is_positive = self.table["is_positive"].to_numpy()
        known, first = np.unique(query_rows[is_positive], return_index=True)
        has_choice = np.isin(known, query_rows[self.eligible])
        known, first = known[has_choice], first[has_choice]
        if len(known) < FEWEST:
            return None
        ids = self.table["query_id"].filter(pa.array(is_positive)).take(pa.array(first)).to_pylist()
        noise = keyed_noise(SEED, ids, ["drawn"] * len(ids))
        drawn = np.isin(query_rows, known[np.argsort(noise, kind="stable")[:MOST]])
        return TrialRows(
            self.table.filter(drawn),
            self.eligible[drawn],
            self.below_positive[drawn],
            self.relevance[drawn],
            self.depth[drawn],
        )

    def fingerprint(self, candidates: Candidates, rule: DepthRule, negatives: int) -> str:
        """Return a hash of all that a trial on these rows depends on."""
        total = xxhash.xxh3_128(
            f"{VERSION} {candidates.hash} {rule.depth!r} {rule.deepest!r} {negatives}".encode()
        )
        rows = (self.table[name].to_numpy() for name in ("query_row", "doc_row"))
        for values in (*rows, self.eligible, self.below_positive, self.relevance, self.depth):
            total.update(np.ascontiguousarray(values).tobytes())
        return total.hexdigest()


def try_depths(
    candidates: Candidates, rows: TrialRows, rule: DepthRule, negatives: int, threads: int
) -> tuple[float, DepthTrial | None]:
    """Return the depth that `compare` chooses; that of the rule where nothing can be tried.

    Args:
        candidates: that the rows are of.
        rows: of a sample of queries.
        rule: what another depth is compared with.
        negatives: for each query.
        threads: to read vectors with.
    """
    # Probes train on cosines. Vectors whose length counts were not measured.
    if not candidates.has_dense_scores or candidates.index.encoder.similarity != "cosine":
        return rule.depth, None
    drawn = rows.draw()
    if drawn is None:
        return rule.depth, None
    n = min(negatives, MOST_NEGATIVES)
    kept = KeptTrial(candidates, drawn.fingerprint(candidates, rule, n), rule.depth)
    found = kept.read()
    if found is None:
        found = _Trial(candidates, drawn, rule, n, threads).result()
        kept.write(*found)
    return found


class _Trial:
    """The lists of negatives of one trial, and the vectors to try them with."""

    def __init__(
        self, candidates: Candidates, rows: TrialRows, rule: DepthRule, n: int, threads: int
    ) -> None:
        self.candidates, self.rows, self.rule, self.n = candidates, rows, rule, n
        self.threads = threads
        self.query_rows = rows.table["query_row"].to_numpy()
        new_query = np.diff(self.query_rows, prepend=-1) != 0
        self.starts = np.flatnonzero(new_query)
        self.query = (np.cumsum(new_query) - 1).astype(np.int64)
        self.slots = candidates.index.documents.slots(rows.table["doc_row"].to_numpy())
        self.ids = rows.table["query_id"].take(pa.array(self.starts)).to_pylist()

    def result(self) -> TriedDepth:
        eligible, usual = self.rows.eligible, self.rule.depth
        below = eligible & self.rows.below_positive
        depths = [usual, *(depth for depth in DEPTHS if self._is_another(depth))]
        chosen = {depth: self._choose(depth, eligible) for depth in depths}
        shallow = [
            depth
            for depth in depths
            if (self.rule.stays_below if depth == usual else depth <= SHALLOW)
        ]
        chosen_below = {depth: self._choose(depth, below) for depth in shallow}
        positives = self._positives()
        of_positive = np.zeros(len(self.query), dtype=bool)
        of_positive[positives] = True
        kept = np.any(
            [*chosen.values(), *chosen_below.values(), self._sampled(), of_positive], axis=0
        )
        documents = np.unique(self.slots[kept])
        document = np.searchsorted(documents, self.slots)
        others = np.ones((len(self.ids), len(documents)), dtype=bool)
        copies = ~eligible & kept
        others[self.query[copies], document[copies]] = False
        data = ProbeData(
            self.ids,
            *self._vectors(documents),
            (self.query[positives], document[positives]),
            others,
        )
        return compare(
            data,
            usual,
            {depth: self._lists(rows, document) for depth, rows in chosen.items()},
            {depth: self._lists(rows, document) for depth, rows in chosen_below.items()},
        )

    def _is_another(self, depth: float) -> bool:
        """Tell whether a depth is within reach and not about that of the rule."""
        low, high = sorted((depth, self.rule.depth))
        return depth <= self.rule.deepest and high > APART * low

    def _choose(self, depth: float, eligible: Bools) -> Bools:
        rows = self.rows
        given = (rows.eligible, rows.relevance, rows.depth, self.n, depth)
        price = price_of_depth(self.query, eligible, *given)
        order = cost(rows.relevance) + price * np.nan_to_num(rows.depth)
        return choose(self.query, eligible, order, np.full(len(self.ids), self.n))

    def _positives(self) -> Ints:
        rows = np.flatnonzero(self.rows.table["is_positive"].to_numpy())
        ids = (self.rows.table[name].take(pa.array(rows)) for name in ("query_id", "doc_id"))
        noise = keyed_noise(SEED, *(column.to_pylist() for column in ids))
        rows = rows[np.lexsort((noise, self.query[rows]))]
        counts = np.bincount(self.query[rows], minlength=len(self.ids))
        found: Ints = rows[position_in_list(offsets_of(counts)) < MOST_POSITIVES]
        return found

    def _sampled(self) -> Bools:
        """Mark the rows of the documents that positives are ranked among, drawn by id."""
        distinct, first = np.unique(self.slots, return_index=True)
        ids = self.rows.table["doc_id"].take(pa.array(first)).to_pylist()
        drawn = np.argsort(hashes(ids, SEED), kind="stable")[:DOCUMENTS]
        return np.isin(self.slots, distinct[drawn])

    def _vectors(self, documents: Ints) -> tuple[Floats, Floats]:
        """Return the unit vectors of queries and documents, in few dimensions."""
        paths, queries = self.candidates.paths, self.candidates.queries
        of_documents = self.candidates.index.vectors(self.threads).read(documents)
        of_queries = QueryVectors(paths, queries, self.threads, "cosine").read(
            self.query_rows[self.starts]
        )
        basis = subspace(of_documents)
        return unit_vectors(of_queries, basis), unit_vectors(of_documents, basis)

    def _lists(self, chosen: Bools, document: Ints) -> Ints:
        """Return the documents chosen for each query, shape (queries, n); -1 for a missing one."""
        lists = np.full((len(self.ids), self.n), -1)
        counts = np.bincount(self.query[chosen], minlength=len(lists))
        place = position_in_list(offsets_of(counts))
        lists[self.query[chosen], place] = document[chosen]
        return lists
