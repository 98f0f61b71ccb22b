"""Compare lists of negatives by linear probes that train on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hnmine.keyed_noise import keyed_noise
from hnmine.ragged import Bools, Floats, Ints
from hnmine.relevance.depth_rule import SHALLOW
from hnmine.relevance.learned import DepthTrial, Gain, GainAtDepth
from hnmine.relevance.linear_probe import soft_ranks, train

FOLDS = 4
SPLITS = 2
"""Times that the queries are split into folds, each time by other noise."""

SEED = 8

TriedDepth = tuple[float, DepthTrial]
"""A depth, and the trial that chose it."""


@dataclass(frozen=True)
class ProbeData:
    """Queries and documents to train and measure linear probes on.

    Attributes:
        ids: of the queries.
        queries: their unit vectors, shape (queries, dimension).
        vectors: of the documents, shape (documents, dimension).
        asked: the query and the document of each known positive, by query. Each query has one.
        others: whether a document competes with the query's positives, shape (queries, documents);
            positives and their copies do not.
    """

    ids: list[str]
    queries: Floats
    vectors: Floats
    asked: tuple[Ints, Ints]
    others: Bools

    def log_ranks(self, negatives: Ints) -> Floats:
        """Return minus the mean `soft_ranks` of each query's positives, by probes of other queries.

        Args:
            negatives: of each query, shape (queries, negatives); -1 for a missing one, which a
                random document replaces.
        """
        drawn = self._random_documents(negatives.shape[1])
        negatives = np.where(negatives < 0, drawn, negatives)
        total = np.zeros(len(self.ids))
        for split in range(SPLITS):
            lists = np.column_stack([self._one_positive(split), negatives])
            fold = self._noise(f"fold {split}") % np.uint64(FOLDS)
            for n in range(FOLDS):
                total += self._of_fold(lists, fold == n)
        return total / -SPLITS

    def _of_fold(self, lists: Ints, unseen: Bools) -> Floats:
        """Return the mean soft ranks of the unseen queries; 0 for the others."""
        seen = np.flatnonzero(~unseen)
        ids = [self.ids[row] for row in seen]
        matrix = train(ids, self.queries[seen], self.vectors, lists[seen])
        query, document = (column[unseen[self.asked[0]]] for column in self.asked)
        place = np.cumsum(unseen) - 1
        asked = (place[query], document)
        found = soft_ranks(matrix, self.queries[unseen], self.vectors, asked, self.others[unseen])
        counts = np.bincount(query, minlength=len(self.ids))
        return np.bincount(query, found, len(self.ids)) / np.maximum(counts, 1)

    def _one_positive(self, split: int) -> Ints:
        """Return a positive of each query to train on; another one in each split, if there is."""
        query, document = self.asked
        counts = np.bincount(query, minlength=len(self.ids))
        first = np.cumsum(counts) - counts
        return document[first + split % counts]

    def _random_documents(self, n: int) -> Ints:
        noise = np.stack([self._noise(f"{k}") for k in range(n)], axis=1)
        return (noise % np.uint64(len(self.vectors))).astype(np.int64)

    def _noise(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        return keyed_noise(SEED, self.ids, [name] * len(self.ids))


def compare(
    data: ProbeData, usual: float, by_depth: Mapping[float, Ints], below: Mapping[float, Ints]
) -> TriedDepth:
    """Train on the negatives of each depth, and on random ones, and choose a depth.

    Another depth replaces that of the rule if it is significantly better; of several, the best. A
    shallow depth must also be better without documents that score above the positive: probes
    change little, and a full encoder trained to push its nearest documents away can lose more than
    it learns.

    Args:
        data: the queries and documents.
        usual: the depth by rule.
        by_depth: the negatives of each depth, as `ProbeData.log_ranks` takes them.
        below: those of each shallow depth that score below the positive.
    """
    lists = {**by_depth, usual: below.get(usual, by_depth[usual])}
    log_ranks = {depth: data.log_ranks(negatives) for depth, negatives in lists.items()}
    gains = {
        depth: Gain.of(found - log_ranks[usual])
        for depth, found in log_ranks.items()
        if depth != usual
    }
    better = [depth for depth, gain in gains.items() if gain.significant]
    best = depth = max(better, key=lambda depth: gains[depth].gain, default=usual)
    below_gain = None
    if best != usual and best <= SHALLOW:
        log_ranks[best] = data.log_ranks(below[best])
        gain = Gain.of(log_ranks[best] - log_ranks[usual])
        below_gain = GainAtDepth(depth=best, gain=gain.gain, error=gain.error)
        depth = best if gain.significant else usual
    random = data.log_ranks(np.full_like(by_depth[usual], -1))
    return depth, DepthTrial(
        queries=len(data.ids),
        usual=usual,
        over_usual={f"{depth:g}": gain for depth, gain in gains.items()},
        over_random=Gain.of(log_ranks[depth] - random),
        below_the_positive=below_gain,
    )
