"""The BM25 formulas, in one place.

Notation: N documents, `df` documents contain the term, `tf` times in this document, `dl` tokens in
this document, and `norm = 1 - b + b * dl / avgdl`. A term adds `idf * gain` to the score of a
document that contains it, and every document's score has `idf * absent` for it besides.

=======  =====================================  ============================================  ======
variant  idf                                    gain                                          absent
=======  =====================================  ============================================  ======
lucene   ln(1 + (N - df + .5) / (df + .5))      tf / (tf + k1 norm)                           0
okapi    ln(N - df + .5) - ln(df + .5), but a   (k1 + 1) tf / (tf + k1 norm)                  0
         quarter of the mean of all where < 0
plus     ln((N + 1) / df)                       (k1 + 1) tf / (tf + k1 norm)                  delta
l        ln(N + 1) - ln(df + .5)                (k1 + 1) tf (c + delta) / (k1 + c + delta),   0
                                                c = tf / norm
=======  =====================================  ============================================  ======

Sources: Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond";
Lucene's BM25Similarity, with exact document lengths (Kamphuis et al. 2020, "Which BM25 Do You
Mean?"); okapi, plus and l as the package rank-bm25 0.2.2 computes them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hnmine.compiled import compiled
from hnmine.ragged import Floats, Ints

VARIANTS = ("lucene", "okapi", "plus", "l")
DEFAULT_DELTA = {"plus": 1.0, "l": 0.5}
# Boundaries of the posting lists, and their documents, ascending in each list.
Postings = tuple[Ints, NDArray[np.int32]]
# Frequencies of the postings, lengths of the documents, idf of the terms, and the formula: number
# of the variant, k1, b, delta, avgdl.
Statistics = tuple[
    NDArray[np.unsignedinteger],
    NDArray[np.int32],
    Floats,
    tuple[int, float, float, float, float],
]
_LUCENE, _L = VARIANTS.index("lucene"), VARIANTS.index("l")
_OKAPI_FLOOR = 0.25


def idf_of(variant: str, documents: int, frequency: Ints) -> Floats:
    """The idf of every term of an index, float64, shape (terms,).

    Logarithms are taken by `math`, once for each distinct frequency: NumPy's own differ in the
    last bit between processors.

    Args:
        variant: one of `VARIANTS`.
        documents: N.
        frequency: how many documents contain each term, shape (terms,), at least 1.
    """
    distinct, place = np.unique(frequency, return_inverse=True)
    n = documents
    if variant == "lucene":
        values = [math.log1p((n - df + 0.5) / (df + 0.5)) for df in distinct.tolist()]
    elif variant == "okapi":
        values = [math.log(n - df + 0.5) - math.log(df + 0.5) for df in distinct.tolist()]
    elif variant == "plus":
        values = [math.log((n + 1) / df) for df in distinct.tolist()]
    else:
        values = [math.log(n + 1) - math.log(df + 0.5) for df in distinct.tolist()]
    idf = np.array(values, dtype=np.float64)[place]
    if variant == "okapi" and len(idf):
        # The exact sum does not depend on the order of the terms.
        idf[idf < 0] = _OKAPI_FLOOR * (math.fsum(idf.tolist()) / len(idf))
    return idf


@compiled()
def gain(
    variant: int, tf: float, dl: float, k1: float, b: float, delta: float, avgdl: float
) -> float:
    """The gain of a term that occurs `tf` times in a document; the module has the table."""
    norm = 1.0 - b + b * dl / avgdl
    if variant == _LUCENE:
        return tf / (tf + k1 * norm)
    if variant == _L:
        c = tf / norm
        return tf * (k1 + 1.0) * (c + delta) / (k1 + c + delta)
    return tf * (k1 + 1.0) / (tf + k1 * norm)


@compiled()
def fill_impacts(
    postings: Postings,
    statistics: Statistics,
    impacts: NDArray[np.float32],
    peaks: NDArray[np.float32],
) -> None:
    """Write `idf * gain` of every posting to `impacts`, and the largest of a term to `peaks`.

    Both are rounded once to float32; `peaks` has shape (terms,).
    """
    indptr, documents = postings
    frequencies, lengths, idf, (variant, k1, b, delta, avgdl) = statistics
    for term in range(len(idf)):
        peaks[term] = -np.inf
        for i in range(indptr[term], indptr[term + 1]):
            term_gain = gain(variant, frequencies[i], lengths[documents[i]], k1, b, delta, avgdl)
            impacts[i] = np.float32(idf[term] * term_gain)
            peaks[term] = max(peaks[term], impacts[i])
