"""Judged documents with a label or a score for each: what cross-encoder losses take."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.export.chosen import Chosen, Ints, lists


def labeled_pair(chosen: Chosen, num_negatives: int, with_scores: bool) -> pa.Table:
    """Lay out `query, passage, label`, or `query, passage, score`: positives, then negatives."""
    query, document, label = _positives_first(chosen)
    judged = {"score": chosen.scores[document]} if with_scores else {"label": label}
    return pa.table(
        {"query": chosen.query_text(query), "passage": chosen.text(document)}
        | {name: pa.array(values) for name, values in judged.items()}
    )


def labeled_list(chosen: Chosen, num_negatives: int, with_scores: bool) -> pa.Table:
    """Lay out `query, passages, labels`, or `scores`: one row for each query with a negative."""
    query, document, label = _positives_first(chosen)
    listed = chosen.negative_counts > 0
    keep = listed[query]
    counts = (chosen.positive_counts + chosen.negative_counts)[listed]
    values = chosen.scores[document[keep]] if with_scores else label[keep]
    return pa.table(
        {
            "query": chosen.query_text(np.flatnonzero(listed)),
            "passages": lists(chosen.text(document[keep]), counts),
            "scores" if with_scores else "labels": lists(pa.array(values), counts),
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
