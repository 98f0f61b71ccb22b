"""Which survivors become hard negatives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.keyed_noise import mixed
from hnmine.ragged import Ints, offsets_of, position_in_list


def choose(query: Ints, keep: NDArray[np.bool_], order: NDArray[Any], n: Ints) -> NDArray[np.bool_]:
    """Mark the first survivors of each query.

    Args:
        query: the query of each candidate, from 0, shape (candidates,).
        keep: whether it survived the filters.
        order: the smaller, the earlier; ties go to the earlier row.
        n: how many to mark for each query, shape (queries,).
    """
    rows, offsets = grouped(query, keep, len(n))
    selected = np.zeros(len(keep), dtype=bool)
    selected[rows[first(offsets, order[rows], n)]] = True
    return selected


def grouped(query: Ints, keep: NDArray[np.bool_], queries: int) -> tuple[Ints, Ints]:
    """Return the survivors, those of a query together in their order, and where each's begin."""
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(query[rows], kind="stable")]
    return rows, offsets_of(np.bincount(query[rows], minlength=queries))


@compiled()
def first(offsets: Ints, order: NDArray[Any], n: Ints) -> NDArray[np.bool_]:
    """Mark the n smallest of each list; ties go to the earlier, what is not a number comes last.

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
            place, value = count, order[row]
            while place > 0:
                other = order[kept[place - 1]]
                if not (value < other or (other != other and value == value)):
                    break
                place -= 1
            if place < n[group]:
                count = min(count + 1, n[group])
                for i in range(count - 1, place, -1):
                    kept[i] = kept[i - 1]
                kept[place] = row
        for i in range(count):
            marked[kept[i]] = True
    return marked


def spread(
    query: Ints,
    keep: NDArray[np.bool_],
    order: NDArray[Any],
    stratum: NDArray[Any],
    noise: NDArray[Any],
) -> Ints:
    """Return an order in which strata take turns: all of their firsts, then all of their seconds.

    A choice of one is then uniform over the strata that are not empty, and by `order` within, as in
    TAS-Balanced (Hofstaetter et al., SIGIR 2021).

    Args:
        query: the query of each candidate, from 0.
        keep: whether it survived the filters.
        order: the smaller, the earlier within its stratum.
        stratum: of each candidate; any values.
        noise: of `keyed_noise`; that of a stratum's first decides its turn.
    """
    _, codes = np.unique(stratum, return_inverse=True)
    rows = np.flatnonzero(keep)
    rows = rows[np.lexsort((rows, order[rows], codes[rows], query[rows]))]
    _, group = np.unique(
        query[rows] * (codes.max(initial=0) + 1) + codes[rows], return_inverse=True
    )
    turn = _place(group, int(group.max(initial=-1)) + 1)
    result = np.zeros(len(keep), dtype=np.int64)
    # Mixed again: where `order` is this noise, a large stratum's first has the smaller one.
    first_noise = mixed(noise[rows[turn == 0]])[group]
    result[rows[np.lexsort((first_noise, turn, query[rows]))]] = np.arange(len(rows))
    return result


def _place(group: Ints, groups: int) -> Ints:
    """Return the place of each row in its group; rows of a group stand together, in its order."""
    return position_in_list(offsets_of(np.bincount(group, minlength=groups)))


def race(noise: NDArray[np.uint64], log_weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return keys of which the n smallest are a draw of n without replacement, by weight.

    The Gumbel-top-n trick: the order of `Exponential / weight` follows Plackett and Luce
    (Efraimidis and Spirakis 2006; Kool et al., ICML 2019). In logarithms, because weights like
    `exp(80 * x)` are beyond float64.

    Args:
        noise: of `keyed_noise`.
        log_weight: natural logarithm of the weights; minus infinity comes last of all.
    """
    uniform = ((~noise >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
    return np.log(-np.log(uniform)) - log_weight
