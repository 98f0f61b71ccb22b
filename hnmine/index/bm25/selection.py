"""Which documents may be among the best k: float32 sums, tile after tile of documents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.index.bm25.common import Index, add_common, columns_of, factors_of, picked
from hnmine.index.bm25.left_out import count_of, leave_out, postings_of, put_in, rest_of
from hnmine.index.bm25.topk_bounds import BLOCK, cut_of, floor_of, folded, maxima_of_blocks
from hnmine.index.order import ascend, first_from
from hnmine.ragged import Bools, Floats, Ints

# The place of the only bit that is set in a number: its product with a de Bruijn sequence has a
# different first six bits for each (Leiserson, Prokop and Randall 1998, "Using de Bruijn Sequences
# to Index a 1 in a Computer Word").
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_PLACES = np.empty(64, np.int32)
_PLACES[[((int(_DE_BRUIJN) << i) & (1 << 64) - 1) >> 58 for i in range(64)]] = np.arange(64)
# Documents whose sums are in the second-level cache together.
TILE = 1 << 17
# The sums of a tile, the maxima of their blocks, and the documents found so far with their sums.
Scratch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]
# Distinct terms of a query, their factors, their columns in the table of common terms, and the most
# that each adds to a score.
Query = tuple[Ints, Floats, Ints, Floats]
# The first document of a tile, how many documents were found before, and, if the posting lists were
# walked again, up to where all documents of the tile are, else -1.
Tile = tuple[int, int, int]
# Half a unit in the last place of 1: the largest relative error of one rounding to float32.
_UNIT32 = 2.0**-24
# What share of the bound on what was left out the best documents' totals are not above their sums.
_USUAL_SHARE = 0.35
# Looking into a block of sums takes as long as accumulating so many postings.
_POSTINGS_FOR_BLOCK = 128


@compiled()
def scratch_of(documents: int) -> Scratch:
    """Allocate what `select` works in."""
    blocks = (min(documents, TILE) + BLOCK - 1) // BLOCK
    return (
        np.zeros(blocks * BLOCK, np.float32),
        # A whole number of blocks of their own: what is beyond those of the sums stays 0.
        np.zeros((blocks + BLOCK - 1) // BLOCK * BLOCK, np.float32),
        # One more than there are documents: appending writes first and decides afterwards.
        np.empty(documents + 1, np.int32),
        np.empty(documents + 1, np.float32),
    )


@compiled()
def _accumulate(
    first: int,
    put: Bools,
    weights: Ints,
    starts: Ints,
    ends: Ints,
    documents: NDArray[np.int32],
    impacts: NDArray[np.float32],
    sums: NDArray[np.float32],
) -> None:
    """Add the impacts of the lists to put in to the sums of a tile."""
    # Unsigned subscripts spare the test for a negative one, a quarter of this loop's time.
    subscripts, base = documents.view(np.uint32), np.uint32(first)
    for j in range(len(starts)):
        if not put[j]:
            continue
        where, what = subscripts[starts[j] : ends[j]], impacts[starts[j] : ends[j]]
        weight = np.float32(weights[j])
        whole = len(where) & ~3
        # Four at once, as no document is twice in a list: a tenth faster.
        for i in range(0, whole, 4):
            four, added = where[i : i + 4], what[i : i + 4]
            a, b, c, d = four[0] - base, four[1] - base, four[2] - base, four[3] - base
            at_a, at_b = sums[a] + weight * added[0], sums[b] + weight * added[1]
            at_c, at_d = sums[c] + weight * added[2], sums[d] + weight * added[3]
            sums[a], sums[b], sums[c], sums[d] = at_a, at_b, at_c, at_d
        for i in range(whole, len(where)):
            sums[where[i] - base] += weight * what[i]


@compiled()
def _gather_touched(
    first: int,
    out: Bools,
    starts: Ints,
    ends: Ints,
    documents: NDArray[np.int32],
    sums: NDArray[np.float32],
    n: int,
    found: NDArray[np.int32],
    values: NDArray[np.float32],
) -> int:
    """Append every sum above 0 by walking the posting lists again, and clear it; short lists."""
    for j in range(len(starts)):
        for i in range(starts[j], starts[j] if out[j] else ends[j]):
            document = documents[i]
            value = sums[document - first]
            sums[document - first] = 0.0
            found[n], values[n] = document, value
            n += value > 0
    return n


@compiled()
def _bits_from(cut: np.float32, values: NDArray[np.float32]) -> np.uint64:
    """Set one bit for each of `BLOCK` values from `cut` up; vector instructions do."""
    bits = np.uint64(0)
    for i in range(BLOCK):
        bits |= np.uint64(values[i] >= cut) << np.uint64(i)
    return bits


@compiled()
def _lowest(bits: np.uint64) -> np.uint64:
    """Return where in `_PLACES` the place of the lowest bit stands."""
    return ((bits & (np.uint64(0) - bits)) * _DE_BRUIJN) >> np.uint64(58)


@compiled()
def _gather_blocks(
    first: int,
    cut: np.float32,
    sums: NDArray[np.float32],
    maxima: NDArray[np.float32],
    n: int,
    found: NDArray[np.int32],
    values: NDArray[np.float32],
) -> int:
    """Append the sums from `cut` up, by way of the maxima of blocks."""
    # Unsigned subscripts spare tests for negative ones here, too.
    end = np.uint64(n)
    for row in range(0, len(maxima), BLOCK):
        blocks = _bits_from(cut, maxima[row : row + BLOCK])
        while blocks:
            block = row + _PLACES[_lowest(blocks)]
            blocks &= blocks - np.uint64(1)
            bits = _bits_from(cut, sums[block * BLOCK : (block + 1) * BLOCK])
            while bits:
                found[end] = first + block * BLOCK + _PLACES[_lowest(bits)]
                end += np.uint64(1)
                bits &= bits - np.uint64(1)
    for i in range(n, end):
        values[i] = sums[np.uint32(found[i] - first)]
    return int(np.int64(end))


@compiled()
def _keep(
    cut: np.float32,
    start: int,
    end: int,
    n: int,
    found: NDArray[np.int32],
    values: NDArray[np.float32],
) -> int:
    """Move what is from `cut` up from the positions from `start` to before `end` to `n`."""
    for i in range(start, end):
        found[n], values[n] = found[i], values[i]
        n += values[i] >= cut
    return n


@compiled()
def _count_from(cut: np.float32, values: NDArray[np.float32]) -> int:
    total = np.int32(0)
    for value in values:
        total = np.int32(total + np.int32(value >= cut))
    return int(total)


@compiled()
def _ends(last: int, starts: Ints, limits: Ints, documents: NDArray[np.int32]) -> Ints:
    """Find where the documents before `last` end in each posting list."""
    ends = limits.copy()
    for j in range(len(starts)):
        if starts[j] < limits[j] and documents[limits[j] - 1] >= last:
            ends[j] = starts[j] + first_from(last, documents[starts[j] : limits[j]])
    return ends


@compiled()
def _gather(
    cut: np.float32, tile: Tile, query: Query, out: Bools, index: Index, scratch: Scratch
) -> tuple[int, int]:
    """Append what has a sum from `cut` up in a tile, and make the sums complete.

    Returns from where to where it is in the list of documents found.
    """
    first, n, touched = tile
    sums, maxima, found, values = scratch
    if touched >= 0:
        start = end = touched
        for i in range(n, touched):
            found[end], values[end] = found[i], values[i]
            end += values[i] >= cut
    else:
        start, end = n, _gather_blocks(first, cut, sums, maxima, n, found, values)
    if count_of(out):
        terms, factors, columns, _ = query
        postings, statistics, _, _, common = index
        add_common(
            picked(terms, out), picked(columns, out), picked(factors, out), found[start:end],
            postings, statistics, common, values[start:end],
        )  # fmt: skip
    return start, end


@compiled()
def _attempt(
    k: int,
    floor: float,
    slack: tuple[float, float],
    dear: int,
    tile: Tile,
    query: Query,
    out: Bools,
    index: Index,
    scratch: Scratch,
) -> tuple[float, int, int]:
    """Gather what a tile may add to the best k, or return -1 if too much was left out for that.

    Returns:
        The new floor, and from where to where the documents found are.
    """
    _, n, touched = tile
    sums, maxima, _, values = scratch
    known = floor > 0.0
    if not known:
        floor = floor_of(values[n:touched] if touched >= 0 else maxima, k, 0.0)
        if floor == 0.0 and touched < 0:  # There are fewer blocks.
            floor = floor_of(folded(sums, k), k, 0.0)
    bound = 0.0
    for j in range(len(out)):
        bound += query[3][j] if out[j] else 0.0
    if bound == 0.0:
        start, end = _gather(cut_of(floor, slack), tile, query, out, index, scratch)
        return floor, start, end
    wide = (slack[0], slack[1] + bound * (1.0 + slack[0]))
    cut = np.float32(floor - _USUAL_SHARE * bound)
    if known:
        cut = np.float32(floor * (1.0 - wide[0]) - wide[1])
    while cut > 0.0:
        if touched < 0 and _count_from(cut, maxima) * _POSTINGS_FOR_BLOCK > dear:
            break
        start, end = _gather(cut, tile, query, out, index, scratch)
        if known:
            return floor, start, end
        # The floor was one of incomplete sums.
        known, completed = True, values[start:end]
        floor = floor_of(completed, k, 0.0)
        # Documents that hold only what was left out must be out of the question.
        needed = np.float32(floor * (1.0 - wide[0]) - wide[1])
        if needed >= cut:
            return floor, start, end
        cut = needed
    return -1.0, n, n


@compiled()
def select(
    k: int, terms: Ints, weights: Ints, absent: float, index: Index, scratch: Scratch
) -> NDArray[np.int32]:
    """Return, ascending, documents among which are the exact best k; all idf are from 0 up.

    A float32 sum of m terms has m - 1 roundings, and the weight and the impact of each one more,
    so its relative error is below (m + 1) u / (1 - (m + 1) u), u = 2 ** -24 (Higham 2002,
    "Accuracy and Stability of Numerical Algorithms", section 3.1). The sums in `scratch` are
    cleared on return.
    """
    (indptr, documents), statistics, impacts, peaks, common = index
    total, (sums, maxima, found, values) = len(statistics[1]), scratch
    # Four roundings more than that: for completing, for cutting in float32, and far less for
    # float64 itself.
    error = (len(terms) + 5) * _UNIT32
    slack = (2.0 * error / (1.0 - error), absent * 2.0**-50)
    starts, limits = np.empty(len(terms), np.int64), np.empty(len(terms), np.int64)
    most, lengths = np.empty(len(terms), np.float64), np.empty(len(terms), np.int64)
    for j in range(len(terms)):
        starts[j], limits[j] = indptr[terms[j]], indptr[terms[j] + 1]
        most[j], lengths[j] = weights[j] * np.float64(peaks[terms[j]]), limits[j] - starts[j]
    query = (terms, factors_of(terms, weights, statistics[2]), columns_of(terms, common), most)
    out = leave_out(k, len(maxima), most, lengths, query[2])
    # Of a literal 0 Numba would compile what is called with it once more.
    zero = int(np.int64(0))
    n, first = zero, zero
    put, floor, ascending = rest_of(out), 0.0, True
    while first < total:
        last = min(first + TILE, total)
        ends = _ends(last, starts, limits, documents)
        _accumulate(first, put, weights, starts, ends, documents, impacts, sums)
        touched = -1
        if postings_of(starts, ends, rest_of(out)) * 8 < last - first:
            touched = _gather_touched(first, out, starts, ends, documents, sums, n, found, values)
        else:
            maxima_of_blocks(sums, maxima)
        tile, dear = (first, n, touched), postings_of(starts, ends, out)
        result, start, end = _attempt(k, floor, slack, dear, tile, query, out, index, scratch)
        if result < 0.0:
            put = put_in(most, out)
            if touched >= 0:
                put = rest_of(out)
            continue
        if touched < 0:
            sums[:] = 0.0
        else:
            ascending = False
        floor = max(floor, result)
        n = _keep(cut_of(floor, slack), start, end, n, found, values)
        if 4 * n > 5 * k:
            floor = floor_of(values[:n], k, floor)
            n = _keep(cut_of(floor, slack), zero, n, zero, found, values)
        starts, first, put = ends, last, rest_of(out)
    if not ascending:
        ascend(found[:n])
    return found[:n]
