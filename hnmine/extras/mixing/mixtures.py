"""Mixtures of two unit vectors as hard negatives, of length 1.

A recipe is two parents and two weights, so a trainer can mix again with its own vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xxhash

from hnmine.ragged import Floats

Parent = int | None
"""A position among the query's documents; None for the query itself."""


@dataclass(frozen=True)
class Mixture:
    """Two parents and their weights."""

    first: Parent
    second: int
    first_weight: float
    second_weight: float

    def mean(self, values: Floats) -> float:
        """Return the mean of the parents' values by their weights; the query's value is last."""
        first = -1 if self.first is None else self.first
        total = self.first_weight * values[first] + self.second_weight * values[self.second]
        return float(total / (self.first_weight + self.second_weight))


@dataclass(frozen=True)
class Parents:
    """The vectors that can be mixed for one query.

    Attributes:
        query_id: the draws depend on it and the seed alone.
        query: unit vector, shape (dimension,).
        documents: unit vectors of its negatives and positives, shape (documents, dimension).
        negatives: positions of the negatives in `documents`, hardest first.
        positives: positions of the positives.
    """

    query_id: str
    query: Floats
    documents: Floats
    negatives: list[int]
    positives: list[int]


def mixtures(by: str, n: int, parents: Parents, seed: int, neighbours: int) -> Iterator[Mixture]:
    """Yield n mixtures of one kind; none where a query lacks the parents for it.

    Args:
        by: `mochi`: a n_i + (1 - a) n_j, a from U(0, 1), and `mochi-query`: b q + (1 - b) n, b from
            U(0, 0.5) (Kalantidis et al., NeurIPS 2020). `m2-mix`: the point at a share l of the arc
            from a positive to the query, l from Beta(0.5, 0.5) (Oh et al., NeurIPS 2023).
            `smote`: n_i + u (n_j - n_i), u from U(0, 1), n_j one of the nearest to n_i (Chawla et
            al., JAIR 2002).
        n: how many.
        parents: of the query.
        seed: of the draws.
        neighbours: nearest negatives that `smote` draws from.
    """
    negatives, positives = parents.negatives, parents.positives
    needed = {"m2-mix": positives, "mochi-query": negatives}.get(by, negatives[1:])
    for number in range(n if needed else 0):
        one, two, three = _uniform(f"{by} {number} {parents.query_id}", seed)
        if by == "mochi-query":
            yield Mixture(None, _pick(negatives, one), 0.5 * two, 1 - 0.5 * two)
        elif by == "m2-mix":
            positive = _pick(positives, one)
            # The inverse of the distribution function of Beta(0.5, 0.5), the arcsine law.
            share = float(np.sin(np.pi * two / 2) ** 2)
            cosine = np.clip(parents.query @ parents.documents[positive], -1, 1)
            yield Mixture(None, positive, *arc_weights(share, float(np.arccos(cosine))))
        else:
            first = _pick(negatives, one)
            others = [other for other in negatives if other != first]
            if by == "smote":
                others = _nearest(first, others, parents.documents, neighbours)
            yield Mixture(first, _pick(others, three), 1 - two, two)


def materialise(
    first: Floats, second: Floats, first_weight: Floats, second_weight: Floats
) -> Floats:
    """Return mixtures of unit vectors, scaled to length 1.

    Args:
        first: shape (mixtures, dimension).
        second: shape (mixtures, dimension).
        first_weight: shape (mixtures,).
        second_weight: shape (mixtures,).

    Returns:
        float64, shape (mixtures, dimension); zeros where the parents cancel each other out.
    """
    mixed = first_weight[:, None] * first + second_weight[:, None] * second
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.divide(mixed, length, out=np.zeros_like(mixed), where=length > 1e-12)


def arc_weights(share: float, angle: float) -> tuple[float, float]:
    """Return the weights of the point on the arc between two unit vectors (Shoemake 1985).

    Args:
        share: of the arc that lies between the point and the second; 1 is the first vector.
        angle: between the two, in radians. Where it is 0 or pi, the weights are those of the
            straight line, as the arc is a point or is not one arc.
    """
    sine = np.sin(angle)
    if sine < 1e-6:
        return share, 1 - share
    return float(np.sin(share * angle) / sine), float(np.sin((1 - share) * angle) / sine)


def _nearest(first: int, others: list[int], vectors: Floats, k: int) -> list[int]:
    distance = -(vectors[others] @ vectors[first])
    return [others[place] for place in np.argsort(distance, kind="stable")[:k]]


def _uniform(name: str, seed: int) -> list[float]:
    """Return three numbers in [0, 1) that depend on a name and a seed alone."""
    raw = xxhash.xxh3_128_intdigest(name.encode("utf-8", "surrogatepass"), seed % (1 << 64))
    return [((raw >> shift) & 0xFFFFFFFF) / 2**32 for shift in (0, 32, 64)]


def _pick(places: list[int], share: float) -> int:
    return places[int(share * len(places))]
