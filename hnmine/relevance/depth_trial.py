"""A trial of depths: students train on some queries' negatives and are measured on the others'.

How hard negatives should be depends on the collection: where few of the documents near a query are
relevant, the nearest teach most; where many are and few are known, they teach what is wrong. The
known positives tell which: a student that was taught wrong puts those of other queries lower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.keyed_noise import keyed_noise
from hnmine.ragged import Floats, Ints
from hnmine.relevance.student import ranks, train

USUAL = 20.0
OTHERS = (0.0, 5.0, 10.0, 40.0)
"""Depths that are tried beside the usual one; 0 takes the nearest."""

FOLDS = 4
FEWEST, MOST = 100, 512
"""Queries with a known positive: with fewer, chance decides; more would only take time."""

MOST_NEGATIVES = 5
SURE = 2.0
"""Standard errors that another depth must be better by."""

SEED = 8
DIGITS = 4
"""Of what is written; the last ones depend on how many threads share a sum."""


@dataclass(frozen=True)
class Trial:
    """Queries to try depths on.

    Attributes:
        ids: of the queries.
        queries: their unit vectors, shape (queries, dimension).
        vectors: of the documents, shape (documents, dimension).
        positives: the document that is each query's known positive.
        others: whether a document counts for a query when its positive is ranked, shape
            (queries, documents): not if it is a positive or a copy of one.
    """

    ids: list[str]
    queries: Floats
    vectors: Floats
    positives: Ints
    others: NDArray[np.bool_]

    def worth(self, negatives: Ints) -> Floats:
        """Return how high students put the positives of queries that they were not trained on.

        Args:
            negatives: of each query, shape (queries, negatives); -1 where there is none.

        Returns:
            -log2(1 + rank) for each query, shape (queries,).
        """
        drawn = self._by_chance(negatives.shape[1])
        lists = np.column_stack([self.positives, np.where(negatives < 0, drawn, negatives)])
        fold = keyed_noise(SEED, self.ids, ["fold"] * len(self.ids)) % np.uint64(FOLDS)
        worth = np.zeros(len(self.ids))
        for n in range(FOLDS):
            seen, unseen = np.flatnonzero(fold != n), np.flatnonzero(fold == n)
            ids = [self.ids[row] for row in seen]
            matrix = train(ids, self.queries[seen], self.vectors, lists[seen])
            asked = (self.queries[unseen], self.vectors, self.positives[unseen])
            worth[unseen] = -np.log2(1 + ranks(matrix, *asked, self.others[unseen]))
        return worth

    def _by_chance(self, n: int) -> Ints:
        """Draw n documents for each query, shape (queries, n)."""
        noise = [keyed_noise(SEED, self.ids, [f"{k}"] * len(self.ids)) for k in range(n)]
        return (np.stack(noise, axis=1) % np.uint64(len(self.vectors))).astype(np.int64)


def compare(
    trial: Trial, by_depth: Mapping[float, Ints], below: Mapping[float, Ints]
) -> dict[str, Any]:
    """Train on the negatives of each depth, and on random ones, and choose a depth.

    It is the usual one, unless another is better by more than chance explains; of several the best.
    Less than the usual one must be better without what scores above the positive, too: these
    students move little, and a whole encoder that puts down what it holds nearest unlearns more
    than it learns.

    Args:
        trial: the queries.
        by_depth: the negatives of each depth, as `Trial.worth` takes them.
        below: those of each depth less than the usual one, of what scores below the positive.

    Returns:
        `depth`, and what the choice was made from: for each depth, and for random negatives, by how
        many doublings its students put unseen positives higher than those of the usual depth, and
        the standard error of that.
    """
    worth = {depth: trial.worth(negatives) for depth, negatives in by_depth.items()}
    gains = {depth: _gain(found - worth[USUAL]) for depth, found in worth.items() if depth != USUAL}
    better = [depth for depth, (gain, error) in gains.items() if gain > SURE * error]
    best = depth = max(better, key=lambda depth: gains[depth][0], default=USUAL)
    surest: dict[str, Any] = {}
    if best < USUAL:
        worth[best] = trial.worth(below[best])
        gain, error = _gain(worth[best] - worth[USUAL])
        surest["below_the_positive"] = {"depth": best, "gain": gain, "error": error}
        depth = best if gain > SURE * error else USUAL
    nothing = np.full_like(by_depth[USUAL], -1)
    return {
        "depth": depth,
        "trial": surest
        | {
            "queries": len(trial.ids),
            "over_usual": {
                f"{depth:g}": {"gain": gain, "error": error}
                for depth, (gain, error) in gains.items()
            },
            "over_random": dict(
                zip(("gain", "error"), _gain(worth[depth] - trial.worth(nothing)), strict=True)
            ),
        },
    }


def _gain(differences: Floats) -> tuple[float, float]:
    """Return the mean of paired differences and its standard error."""
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return round(float(differences.mean()), DIGITS), round(float(error), DIGITS)


def explained(learned: Mapping[str, Any]) -> list[str]:
    """Say which depth was chosen and why, a sentence each.

    Args:
        learned: with the keys of `compare`; no `trial` where none was made.
    """
    trial = learned.get("trial")
    if not trial:
        return []
    depth, tried = f"{learned['depth']:g}", trial["queries"]
    others = trial["over_usual"]
    below = trial.get("below_the_positive")
    if depth in others:
        where = ", below the positive's score" if below else ""
        gain = below or others[depth]
        chosen = (
            f"Depth {depth}{where}: students trained on it put the positives of other queries "
            f"{2 ** gain['gain'] - 1:.1%} higher than those of depth {USUAL:g} "
            f"({_deviations(gain)}, {tried} queries)."
        )
    elif below:
        chosen = (
            f"Depth {USUAL:g}: at {below['depth']:g} students did better on {tried} queries, but "
            "not without documents that score above the positive, which can harm a whole encoder."
        )
    else:
        lost = ", ".join(sorted(others, key=float))
        chosen = f"Depth {USUAL:g}: at {lost} students did no better on {tried} queries."
    over = trial["over_random"]
    sentences = [chosen]
    if over["gain"] < -SURE * over["error"]:
        sentences.append(
            f"Random documents taught them more ({_deviations(over)}): take those, by "
            "`mine --source random:20` and `filter --order random_rank`, or a better --judge."
        )
    return sentences


def _deviations(found: Mapping[str, float]) -> str:
    return f"{abs(found['gain']) / found['error']:.1f} standard errors"
