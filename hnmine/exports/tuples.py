"""One row for each (query, positive) with its negatives, for contrastive losses."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hnmine.exports.format import of_layout
from hnmine.exports.training_rows import Chosen, lists
from hnmine.ragged import ragged


def triplet(chosen: Chosen, num_negatives: int, with_scores: bool) -> pa.Table:
    """Lay out `query, positive, negative`: one row for each positive and each negative.

    Further columns are those of the negative.
    """
    query, positive = chosen.positive_rows()
    counts = chosen.negative_counts[query]
    negative = chosen.negatives[ragged(chosen.negative_offsets[query], counts)]
    query, positive = np.repeat(query, counts), np.repeat(positive, counts)
    columns = {
        "query": chosen.query_text(query),
        "positive": chosen.text(positive),
        "negative": chosen.text(negative),
    }
    if with_scores:
        pairs = np.stack([chosen.scores[positive], chosen.scores[negative]], axis=1)
        columns["scores"] = _rows(pairs)
    return pa.table(columns | chosen.more_of(negative))


def n_tuple(chosen: Chosen, num_negatives: int, with_scores: bool) -> pa.Table:
    """Lay out `query, positive, negative_1 … negative_n`.

    A query with fewer than n negatives has no row. Further columns hold a list over the negatives.
    """
    query, positive = chosen.positive_rows()
    full = chosen.negative_counts[query] == num_negatives
    query, positive = query[full], positive[full]
    first = chosen.negative_offsets[query]
    negatives = chosen.negatives[first[:, None] + np.arange(num_negatives)]
    columns = {"query": chosen.query_text(query), "positive": chosen.text(positive)}
    for n in range(num_negatives):
        columns[f"negative_{n + 1}"] = chosen.text(negatives[:, n])
    if with_scores:
        columns["scores"] = _rows(
            np.concatenate([chosen.scores[positive][:, None], chosen.scores[negatives]], axis=1)
        )
    counts = np.full(len(negatives), num_negatives)
    more = chosen.more_of(negatives.ravel())
    return pa.table(columns | {name: lists(values, counts) for name, values in more.items()})


def _rows(matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> pa.Array:
    values = pa.array(matrix.ravel())
    return pa.FixedSizeListArray.from_arrays(values, matrix.shape[1]).cast(pa.list_(pa.float64()))


TRIPLET, N_TUPLE = of_layout(triplet), of_layout(n_tuple, "always")
