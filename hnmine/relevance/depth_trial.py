"""A trial of depths: linear probes train on some queries' negatives and rank the others' positives.

The best hardness depends on the collection. Where few documents near a query are relevant, the
nearest negatives teach most. Where many are relevant and few are labelled, the nearest are false
negatives. The known positives show which: a probe trained on false negatives ranks the positives of
other queries lower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hnmine.choose import choose
from hnmine.directories.candidates import Candidates
from hnmine.keyed_noise import hashes, keyed_noise
from hnmine.ragged import Bools, Floats, Ints, offsets_of, position_in_list
from hnmine.relevance.depth_price import cost, price_of_depth
from hnmine.relevance.learned import DEFAULT_DEPTH, DepthTrial, Gain, GainAtDepth
from hnmine.relevance.linear_probe import ranks, train
from hnmine.sources.queryvectors import QueryVectors

OTHER_DEPTHS = (0.0, 5.0, 10.0, 40.0)
"""Depths that are compared with the default one; 0 takes the nearest."""

FOLDS = 4
FEWEST, MOST = 100, 512
"""Queries with a known positive: with fewer, chance decides; more would only take time."""

MOST_NEGATIVES = 5
DOCUMENTS = 1 << 13
"""Documents that positives are ranked among, besides those that the probes train on."""

SEED = 8
DIGITS = 4
"""Decimals of a gain. The last ones depend on how many threads share a sum."""

TriedDepth = tuple[float, DepthTrial | None]
"""A depth, and the trial that chose it; None where none was made."""


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
        """Return the rows of the queries to try depths on; None if too few have a positive."""
        query_rows = self.table["query_row"].to_numpy()
        is_positive = self.table["is_positive"].to_numpy()
        known, first = np.unique(query_rows[is_positive], return_index=True)
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


def try_depths(candidates: Candidates, rows: TrialRows, negatives: int, threads: int) -> TriedDepth:
    """Return the depth that `compare` chooses; the default where there is too little to try it on.

    Args:
        candidates: that the rows are of.
        rows: of a sample of queries.
        negatives: for each query.
        threads: to read vectors with.
    """
    # Probes train on cosines. Vectors whose length counts were not measured.
    if not candidates.has_dense_scores or candidates.index.encoder.similarity != "cosine":
        return DEFAULT_DEPTH, None
    drawn = rows.draw()
    if drawn is None:
        return DEFAULT_DEPTH, None
    table, n = drawn.table, min(negatives, MOST_NEGATIVES)
    query_rows = table["query_row"].to_numpy()
    new_query = np.diff(query_rows, prepend=-1) != 0
    query = (np.cumsum(new_query) - 1).astype(np.int64)
    slots = candidates.index.documents.slots(table["doc_row"].to_numpy())
    is_positive = table["is_positive"].to_numpy()
    queries, first = np.unique(query[is_positive], return_index=True)
    positives = slots[np.flatnonzero(is_positive)[first]]

    def choose_at(depth: float, eligible: Bools) -> Bools:
        price = price_of_depth(
            query, eligible, drawn.eligible, drawn.relevance, drawn.depth, n, depth
        )
        order = cost(drawn.relevance) + price * np.nan_to_num(drawn.depth)
        return choose(query, eligible, order, np.full(len(queries), n))

    below = drawn.eligible & drawn.below_positive
    chosen = {depth: choose_at(depth, drawn.eligible) for depth in (DEFAULT_DEPTH, *OTHER_DEPTHS)}
    chosen_below = {
        depth: choose_at(depth, below) for depth in OTHER_DEPTHS if depth < DEFAULT_DEPTH
    }
    sampled = _sample_documents(table, slots)
    kept = np.any([*chosen.values(), *chosen_below.values(), sampled, is_positive], axis=0)
    documents = np.unique(slots[kept])
    others = np.ones((len(queries), len(documents)), dtype=bool)
    copies = ~drawn.eligible & kept
    others[query[copies], np.searchsorted(documents, slots[copies])] = False
    vectors = candidates.index.vectors(threads)
    query_vectors = QueryVectors(candidates.paths, candidates.queries, threads, "cosine")
    starts = np.flatnonzero(new_query)
    data = ProbeData(
        table["query_id"].take(pa.array(starts)).to_pylist(),
        query_vectors.read(query_rows[starts]).astype(np.float64),
        vectors.read(documents).astype(np.float64),
        np.searchsorted(documents, positives),
        others,
    )
    document = np.searchsorted(documents, slots)
    return compare(
        data,
        {depth: _lists(query, rows, document, n) for depth, rows in chosen.items()},
        {depth: _lists(query, rows, document, n) for depth, rows in chosen_below.items()},
    )


def _sample_documents(table: pa.Table, slots: Ints) -> Bools:
    """Mark the rows of the documents that positives are ranked among, drawn by id."""
    distinct, first = np.unique(slots, return_index=True)
    ids = table["doc_id"].take(pa.array(first)).to_pylist()
    drawn = np.argsort(hashes(ids, SEED), kind="stable")[:DOCUMENTS]
    return np.isin(slots, distinct[drawn])


def _lists(query: Ints, chosen: Bools, document: Ints, n: int) -> Ints:
    """Return the documents chosen for each query, shape (queries, n); -1 for a missing one."""
    lists = np.full((int(query.max()) + 1, n), -1)
    counts = np.bincount(query[chosen], minlength=len(lists))
    lists[query[chosen], position_in_list(offsets_of(counts))] = document[chosen]
    return lists


@dataclass(frozen=True)
class ProbeData:
    """Queries and documents to train and measure linear probes on.

    Attributes:
        ids: of the queries.
        queries: their unit vectors, shape (queries, dimension).
        vectors: of the documents, shape (documents, dimension).
        positives: the document that is each query's known positive.
        others: whether a document competes with the query's positive, shape (queries, documents);
            positives and their copies do not.
    """

    ids: list[str]
    queries: Floats
    vectors: Floats
    positives: Ints
    others: Bools

    def log_ranks(self, negatives: Ints) -> Floats:
        """Return -log2(1 + rank) of each query's positive, by a probe not trained on that query.

        Args:
            negatives: of each query, shape (queries, negatives); -1 for a missing one, which a
                random document replaces.
        """
        drawn = self._random_documents(negatives.shape[1])
        lists = np.column_stack([self.positives, np.where(negatives < 0, drawn, negatives)])
        fold = keyed_noise(SEED, self.ids, ["fold"] * len(self.ids)) % np.uint64(FOLDS)
        found = np.zeros(len(self.ids))
        for n in range(FOLDS):
            seen, unseen = np.flatnonzero(fold != n), np.flatnonzero(fold == n)
            ids = [self.ids[row] for row in seen]
            matrix = train(ids, self.queries[seen], self.vectors, lists[seen])
            asked = (self.queries[unseen], self.vectors, self.positives[unseen])
            found[unseen] = -np.log2(1 + ranks(matrix, *asked, self.others[unseen]))
        return found

    def _random_documents(self, n: int) -> Ints:
        noise = [keyed_noise(SEED, self.ids, [f"{k}"] * len(self.ids)) for k in range(n)]
        return (np.stack(noise, axis=1) % np.uint64(len(self.vectors))).astype(np.int64)


def compare(
    data: ProbeData, by_depth: Mapping[float, Ints], below: Mapping[float, Ints]
) -> TriedDepth:
    """Train on the negatives of each depth, and on random ones, and choose a depth.

    Another depth replaces the default one if it is significantly better; of several, the best. A
    shallower depth must also be better without documents that score above the positive: probes
    change little, and a full encoder trained to push its nearest documents away can lose more than
    it learns.

    Args:
        data: the queries and documents.
        by_depth: the negatives of each depth, as `ProbeData.log_ranks` takes them.
        below: those of each shallower depth that score below the positive.
    """
    log_ranks = {depth: data.log_ranks(negatives) for depth, negatives in by_depth.items()}
    usual = log_ranks[DEFAULT_DEPTH]
    gains = {depth: _gain(log_ranks[depth] - usual) for depth in by_depth if depth != DEFAULT_DEPTH}
    better = [depth for depth, gain in gains.items() if gain.significant]
    best = depth = max(better, key=lambda depth: gains[depth].gain, default=DEFAULT_DEPTH)
    below_gain = None
    if best < DEFAULT_DEPTH:
        log_ranks[best] = data.log_ranks(below[best])
        gain = _gain(log_ranks[best] - usual)
        below_gain = GainAtDepth(depth=best, gain=gain.gain, error=gain.error)
        depth = best if gain.significant else DEFAULT_DEPTH
    random = data.log_ranks(np.full_like(by_depth[DEFAULT_DEPTH], -1))
    return depth, DepthTrial(
        queries=len(data.ids),
        over_usual={f"{depth:g}": gain for depth, gain in gains.items()},
        over_random=_gain(log_ranks[depth] - random),
        below_the_positive=below_gain,
    )


def _gain(differences: Floats) -> Gain:
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return Gain(gain=round(float(differences.mean()), DIGITS), error=round(float(error), DIGITS))
