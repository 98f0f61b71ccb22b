"""Documents with a label or a score each, for cross-encoder losses."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.exports.format import of_layout
from hnmine.exports.training_rows import Chosen, lists
from hnmine.ragged import Ints, offsets_of, ragged


def labeled_pair(chosen: Chosen, num_negatives: int, with_scores: bool) -> pa.Table:
    """Lay out `query, passage, label`, or `query, passage, score`: positives, then negatives."""
    query, document, label = _positives_first(chosen)
    judged = {"score": chosen.scores[document]} if with_scores else {"label": label}
    return pa.table(
        {"query": chosen.query_text(query), "passage": chosen.text(document)}
        | {name: pa.array(values) for name, values in judged.items()}
        | chosen.more_of(document)
    )


def labeled_list(chosen: Chosen, num_negatives: int, with_scores: bool) -> pa.Table:
    """Lay out `query, passages, labels`, or `scores`: a positive, then its query's negatives.

    One row for each positive of a query that has a negative.
    """
    query, positive = chosen.positive_rows()
    listed = chosen.negative_counts[query] > 0
    query, positive = query[listed], positive[listed]
    counts = chosen.negative_counts[query] + 1
    first = offsets_of(counts)[:-1]
    document = chosen.negatives[ragged(chosen.negative_offsets[query] - 1, counts)]
    document[first] = positive
    label = np.zeros(len(document), dtype=np.int8)
    label[first] = 1
    values = chosen.scores[document] if with_scores else label
    return pa.table(
        {
            "query": chosen.query_text(query),
            "passages": lists(chosen.text(document), counts),
            "scores" if with_scores else "labels": lists(pa.array(values), counts),
            **{name: lists(more, counts) for name, more in chosen.more_of(document).items()},
        }
    )


def _positives_first(chosen: Chosen) -> tuple[Ints, Ints, NDArray[np.int8]]:
    """Return query, document and label of every judged pair, grouped by query."""
    queries = np.arange(len(chosen.queries))
    query = np.concatenate(
        [np.repeat(queries, chosen.positive_counts), np.repeat(queries, chosen.negative_counts)]
    )
    document = np.concatenate([chosen.positives, chosen.negatives])
    label = (np.arange(len(query)) < len(chosen.positives)).astype(np.int8)
    order = np.argsort(query, kind="stable")
    return query[order], document[order], label[order]


LABELED_PAIR, LABELED_LIST = of_layout(labeled_pair, full="own"), of_layout(labeled_list)
