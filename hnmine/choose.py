"""Choose hard negatives among the survivors: the first, in strata, or a weighted draw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.keyed_noise import mixed
from hnmine.ragged import Bools, Ints, offsets_of, position_in_list


def choose(query: Ints, keep: Bools, order: NDArray[np.generic], n: Ints) -> Bools:
    """Mark the first survivors of each query.

    Args:
        query: the query of each candidate, from 0, shape (candidates,).
        keep: whether it survived the rules.
        order: sort key, smallest first; ties go to the earlier row.
        n: how many to mark for each query, shape (queries,).
    """
    rows, offsets = grouped(query, keep, len(n))
    selected = np.zeros(len(keep), dtype=bool)
    selected[rows[first(offsets, order[rows], n)]] = True
    return selected


COPY = 0.99
"""The cosine from which two documents of a varied choice count as copies."""


Directions = Callable[[Ints], NDArray[np.float32]]
"""Takes row numbers and returns unit vectors; zeros for rows without a vector."""


def no_vectors(rows: Ints) -> NDArray[np.float32]:
    """Return empty vectors, whose products are all 0."""
    return np.empty((len(rows), 0), np.float32)


def choose_varied(
    weight: float,
    directions: Directions,
    query: Ints,
    keep: Bools,
    order: NDArray[np.generic],
    n: Ints,
) -> Bools:
    """Mark survivors of each query that are early in the order and unlike those marked before.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the next is the one with the
    lowest (1 - weight) * place + weight * cosine, where the place runs from 0 to 1 and the cosine
    is that to the nearest one marked. Copies of a marked one are left out.

    Args:
        weight: of being unlike; 0 gives the choice of `choose`.
        directions: returns the unit vectors of candidates, given by position.
        query: the query of each candidate, from 0, shape (candidates,).
        keep: whether it survived the rules.
        order: sort key, smallest first; ties go to the earlier row.
        n: how many to mark for each query, shape (queries,).
    """
    if not weight:
        return choose(query, keep, order, n)
    rows, offsets = grouped(query, keep, len(n))
    selected = np.zeros(len(keep), dtype=bool)
    for group in np.flatnonzero((n > 0) & (np.diff(offsets) > 0)):
        own = rows[offsets[group] : offsets[group + 1]]
        own = own[np.argsort(order[own], kind="stable")]
        vectors = directions(own)
        place = np.arange(len(own)) / len(own)
        nearest = np.zeros(len(own))
        open_rows = np.ones(len(own), dtype=bool)
        for _ in range(int(n[group])):
            if not open_rows.any():
                break
            cost = np.where(open_rows, (1 - weight) * place + weight * nearest, np.inf)
            best = int(np.argmin(cost))
            selected[own[best]] = True
            cosines = vectors @ vectors[best]
            open_rows &= cosines < COPY
            open_rows[best] = False
            nearest = np.maximum(nearest, cosines)
    return selected


def grouped(query: Ints, keep: Bools, queries: int) -> tuple[Ints, Ints]:
    """Return the rows of the survivors, grouped by query, and the offsets of the groups."""
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(query[rows], kind="stable")]
    return rows, offsets_of(np.bincount(query[rows], minlength=queries))


@compiled()
def first(offsets: Ints, order: NDArray[np.generic], n: Ints) -> Bools:
    """Mark the n smallest of each list; ties go to the earlier, and NaN is the largest.

    Args:
        offsets: list `i` owns the positions `offsets[i]:offsets[i + 1]` of `order`.
        order: shape (rows,).
        n: how many to mark, shape (lists,).
    """
    marked = np.zeros(len(order), dtype=np.bool_)
    kept = np.empty(len(order), np.int64)
    for group in range(len(offsets) - 1):
        start, stop, count = offsets[group], offsets[group + 1], 0
        if stop - start <= n[group]:
            marked[start:stop] = True
            continue
        for row in range(start, stop):
            rank, value = count, order[row]
            while rank > 0:
                other = order[kept[rank - 1]]
                if not (value < other or (other != other and value == value)):
                    break
                rank -= 1
            if rank < n[group]:
                count = min(count + 1, n[group])
                for i in range(count - 1, rank, -1):
                    kept[i] = kept[i - 1]
                kept[rank] = row
        for i in range(count):
            marked[kept[i]] = True
    return marked


def spread(
    query: Ints,
    keep: Bools,
    order: NDArray[np.generic],
    stratum: NDArray[np.generic],
    noise: NDArray[np.generic],
) -> Ints:
    """Return sort keys with which strata take turns: first the best of each, then the second best.

    A choice of one is then uniform over the non-empty strata, and by `order` within, as in
    TAS-Balanced (Hofstaetter et al., SIGIR 2021).

    Args:
        query: the query of each candidate, from 0.
        keep: whether it survived the rules.
        order: sort key within its stratum, smallest first.
        stratum: of each candidate; any values.
        noise: of `keyed_noise`; that of the best candidate decides the turn of its stratum.
    """
    _, codes = np.unique(stratum, return_inverse=True)
    rows = np.flatnonzero(keep)
    rows = rows[np.lexsort((rows, order[rows], codes[rows], query[rows]))]
    _, group = np.unique(
        query[rows] * (codes.max(initial=0) + 1) + codes[rows], return_inverse=True
    )
    turn = position_in_list(offsets_of(np.bincount(group)))
    result = np.zeros(len(keep), dtype=np.int64)
    # Mixed again: if `order` is this noise, the best of a large stratum has small noise.
    first_noise = mixed(noise[rows[turn == 0]])[group]
    result[rows[np.lexsort((first_noise, turn, query[rows]))]] = np.arange(len(rows))
    return result


def race(noise: NDArray[np.uint64], log_weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sort keys whose n smallest are a weighted draw of n without replacement.

    The Gumbel-top-n trick: the order of `Exponential / weight` follows Plackett and Luce
    (Efraimidis and Spirakis 2006; Kool et al., ICML 2019). In logarithms, because weights like
    `exp(80 * x)` overflow float64.

    Args:
        noise: of `keyed_noise`.
        log_weight: natural logarithm of the weights; minus infinity comes last.
    """
    uniform = ((~noise >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
    return np.log(-np.log(uniform)) - log_weight
