"""A table of the most common terms by document, which saves searching long posting lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import Value
from hnmine.compiled import compiled
from hnmine.index.bm25.formula import Postings, Statistics, gain
from hnmine.index.order import first_from
from hnmine.ragged import Bools, Floats, Ints

# Numbers of the common terms, ascending; rows of one byte for each of them, how often it occurs in
# a document (255: that or more), and two for the length of the document (65,535: the gains have no
# row for it, or no column for one of the frequencies); gains by length and frequency.
Common = tuple[Ints, NDArray[np.uint8], Floats]
# What search reads: postings, statistics, impacts of the postings, the largest impact of each term,
# and the table of common terms.
Index = tuple[Postings, Statistics, NDArray[np.float32], NDArray[np.float32], Common]
# A row is at most one cache line.
_LINE = 64
_LENGTH_BYTES = 2
_MOST_BYTES = 1 << 27
# A shorter list is searched, or walked, as fast as it is looked up.
_LEAST_SHARE = 1 / 64
_MANY = 255
_IRREGULAR = (1 << 16) - 1
# Lengths and frequencies below these have their gain tabulated.
_LENGTHS = 4096
_FREQUENCIES = 16


def common_terms(postings: Postings, statistics: Statistics) -> Common:
    """Tabulate the terms that occur in most documents; 128 MiB at most."""
    _, lengths, _, formula = statistics
    total = len(lengths)
    lists = np.diff(postings[0])
    most = max(0, min(_LINE, _MOST_BYTES // max(total, 1)) - _LENGTH_BYTES)
    long = np.flatnonzero(lists > _LEAST_SHARE * total)
    terms = np.sort(long[np.argsort(-lists[long], kind="stable")][:most])
    width = len(terms) + _LENGTH_BYTES if len(terms) else 0
    room = np.zeros(total * width + _LINE, np.uint8)
    # A row that begins within a line would need two.
    rows = room[-room.ctypes.data % _LINE :][: total * width]
    gains = np.zeros((min(_LENGTHS, int(lengths.max(initial=0)) + 1), _FREQUENCIES))
    _fill_gains(formula, gains)
    _fill_rows(terms, postings, statistics, len(gains), rows)
    return terms, rows, gains.ravel()


@compiled()
def _fill_gains(formula: tuple[int, float, float, float, float], gains: Floats) -> None:
    variant, k1, b, delta, avgdl = formula
    for dl in range(1, len(gains)):
        for tf in range(1, gains.shape[1]):
            gains[dl, tf] = gain(variant, tf, dl, k1, b, delta, avgdl)


@compiled()
def _fill_rows(
    terms: Ints, postings: Postings, statistics: Statistics, regular: int, rows: NDArray[np.uint8]
) -> None:
    """Write the rows; documents of fewer than `regular` tokens have tabulated gains."""
    if len(terms) == 0:
        return
    (indptr, documents), (frequencies, lengths, _, _) = postings, statistics
    width = len(terms) + _LENGTH_BYTES
    codes = np.empty(len(lengths), np.uint16)
    for document in range(len(lengths)):
        codes[document] = min(lengths[document], _IRREGULAR)
        if lengths[document] >= regular:
            codes[document] = _IRREGULAR
    for column in range(len(terms)):
        for i in range(indptr[terms[column]], indptr[terms[column] + 1]):
            rows[documents[i] * width + column] = min(_MANY, frequencies[i])
            if frequencies[i] >= _FREQUENCIES:
                codes[documents[i]] = _IRREGULAR
    for document in range(len(lengths)):
        rows[document * width + len(terms)] = codes[document] & 255
        rows[document * width + len(terms) + 1] = codes[document] >> 8


@compiled()
def columns_of(terms: Ints, common: Common) -> Ints:
    """Return the column of each term in the table, -1 where it has none."""
    columns = np.empty(len(terms), np.int64)
    for j in range(len(terms)):
        columns[j] = first_from(terms[j], common[0])
        if columns[j] == len(common[0]) or common[0][columns[j]] != terms[j]:
            columns[j] = -1
    return columns


@compiled()
def picked(values: NDArray[Value], chosen: Bools) -> NDArray[Value]:
    """Return the chosen values; Numba takes long to compile a mask in brackets."""
    kept, n = np.empty_like(values), 0
    for i in range(len(values)):
        if chosen[i]:
            kept[n] = values[i]
            n += 1
    return kept[:n]


@compiled()
def factors_of(terms: Ints, weights: Ints, idf: Floats) -> Floats:
    """Return what the gain of each term of a query is multiplied by."""
    factors = np.empty(len(terms), np.float64)
    for j in range(len(terms)):
        factors[j] = weights[j] * idf[terms[j]]
    return factors


@compiled()
def _sum_irregular(
    terms: Ints,
    factors: Floats,
    counted: NDArray[np.uint8],
    document: int,
    total: float,
    postings: Postings,
    statistics: Statistics,
) -> float:
    """Add to `total` what the terms add to one document, where gains are not tabulated."""
    indptr, documents = postings
    frequencies, lengths, _, (variant, k1, b, delta, avgdl) = statistics
    for j in range(len(terms)):
        tf = np.int64(counted[j])
        if tf == _MANY:
            owners = documents[indptr[terms[j]] : indptr[terms[j] + 1]]
            place = indptr[terms[j]] + first_from(document, owners)
            tf = np.int64(frequencies[place])
        if tf > 0:
            total += factors[j] * gain(variant, tf, lengths[document], k1, b, delta, avgdl)
    return total


@compiled()
def add_common(
    terms: Ints,
    columns: Ints,
    factors: Floats,
    candidates: NDArray[np.int32],
    postings: Postings,
    statistics: Statistics,
    common: Common,
    scores: NDArray[np.floating],
) -> None:
    """Add `factor * gain` of some common terms to the scores of some documents."""
    if len(terms) == 0:  # There may be no table either.
        return
    numbers, rows, gains = common
    width, one = np.uint64(len(numbers) + _LENGTH_BYTES), np.uint64(1)
    # Unsigned subscripts spare the test for a negative one.
    places, owners = columns.view(np.uint64), candidates.view(np.uint32)
    # All rows are fetched from memory before the first is needed: the loop is short enough for the
    # processor to wait for many of them at the same time.
    lengths = np.empty(len(owners), np.uint16)
    for c in range(len(owners)):
        end = (np.uint64(owners[c]) + one) * width
        lengths[c] = np.uint16(rows[end - one - one]) | np.uint16(rows[end - one]) << np.uint16(8)
    for c in range(len(owners)):
        row = np.uint64(owners[c]) * width
        total: float = np.float64(scores[c])
        if lengths[c] == _IRREGULAR:
            counted = rows[row : row + width][columns]
            total = _sum_irregular(
                terms, factors, counted, candidates[c], total, postings, statistics
            )
        else:
            line = np.uint64(lengths[c]) * np.uint64(_FREQUENCIES)
            for j in range(len(places)):
                total += factors[j] * gains[line + np.uint64(rows[row + places[j]])]
        scores[c] = total
