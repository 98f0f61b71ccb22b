"""Shortcuts: what tells positives from negatives without any understanding of the query.

A retriever learns the simplest difference there is (Shah et al., NeurIPS 2020, "The pitfalls of
simplicity bias"): where all negatives are short, or all were generated, it learns that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit

from hnmine.index.tokenise import Tokeniser
from hnmine.keyed_noise import hashes
from hnmine.ragged import Bools, Floats, Ints, offsets_of
from hnmine.relevance.within_query import auc_within, either_way

WARN_FROM = 0.8
"""AUC from which a shortcut is worth a warning."""

FOLDS = 5
BUCKETS = 1 << 15
"""Numbers that stand for runs of words; some share one."""

LONGEST = 256
"""Words of a document that the classifier reads."""

STRENGTH = 1e-3
"""Of the L2 penalty on its weights, for a mean loss."""

MOST_STEPS = 50

ADVICE = {
    "length": "Their lengths differ: draw negatives as long as the positives, such as with --where "
    "over a column of --attribute 'words=len(doc.text)'.",
    "bm25": "The query's words are enough: add negatives that share them, with --source bm25, or "
    "--quota 'bm25_rank is not null=2'.",
    "overlap": "The query's words are enough: add negatives that share them, with --source bm25, "
    "or --quota 'bm25_rank is not null=2'.",
    "wording": "The documents alone say which is which: cap the share of one source, or of "
    "generated texts, with --quota, and mix sources.",
}


@dataclass(frozen=True)
class Labelled:
    """Positives and chosen negatives.

    Attributes:
        query: of each, any numbers, shape (rows,).
        document: of each, any numbers; equal for equal documents.
        positive: whether it is one.
        queries: texts, shape (rows,).
        documents: texts, shape (rows,).
        bm25: scores; NaN where unknown.
    """

    query: Ints
    document: Ints
    positive: Bools
    queries: Sequence[str]
    documents: Sequence[str]
    bm25: Floats


def shortcuts(rows: Labelled) -> dict[str, float]:
    """Return how well each shortcut tells a query's positives from its negatives: its AUC.

    0.5 is by chance, 1 without fault. A shortcut that points the other way is one too, so that
    none is below 0.5, but for `wording`: that of a logistic model over runs of one and two words of
    the documents, which has seen neither the query nor the document. NaN where nothing is known.
    """
    words = _words(rows.documents)
    asked = [set(query) for query in _words(rows.queries)]
    overlap = [
        len(query.intersection(text)) / max(len(query), 1)
        for query, text in zip(asked, words, strict=True)
    ]
    lengths = np.array([len(text) for text in words], dtype=np.float64)
    found = {
        "length": either_way(auc_within(lengths, rows.positive, rows.query)),
        "bm25": either_way(auc_within(rows.bm25, rows.positive, rows.query)),
        "overlap": either_way(auc_within(np.array(overlap), rows.positive, rows.query)),
    }
    wording = auc_within(_wording(words, rows), rows.positive, rows.query)
    return {**found, "wording": wording}


def _words(texts: Sequence[str]) -> list[list[str]]:
    words, tokens, lengths = Tokeniser(stemmer="none").number(texts)
    bounds = offsets_of(lengths.astype(np.int64)).tolist()
    return [[words[token] for token in tokens[slice(*span)]] for span in pairwise(bounds)]


def _wording(words: Sequence[Sequence[str]], rows: Labelled) -> Floats:
    """Score every document by a model that has seen neither its query nor itself, shape (rows,)."""
    features = _hashed(words)
    fold = (hashes(rows.queries, 0) % np.uint64(FOLDS)).astype(np.int64)
    scores = np.full(len(rows.query), np.nan)
    for left_out in range(FOLDS):
        test = fold == left_out
        # A document that other queries have too would be known by heart.
        train = ~test & ~np.isin(rows.document, rows.document[test])
        both = rows.positive[train].any() and not rows.positive[train].all()
        if test.any() and both and features.shape[1]:
            weights = _fit(features[train], rows.positive[train])
            scores[test] = features[test] @ weights
    return scores


def _hashed(words: Sequence[Sequence[str]]) -> csr_array:
    """Return which runs of one and two words each text has; those that one text alone has, not."""
    columns = []
    for text in words:
        cut = [word.encode() for word in text[:LONGEST]]
        runs = {crc32(word) for word in cut}
        runs.update(crc32(b" ".join(pair)) for pair in pairwise(cut))
        columns.append(np.unique(np.array(sorted(runs), dtype=np.int64) % BUCKETS))
    counts = np.array([len(column) for column in columns], dtype=np.int64)
    values = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts)
    indices = np.concatenate([np.empty(0, np.int64), *columns])
    found = csr_array((values, indices, offsets_of(counts)), shape=(len(words), BUCKETS))
    return found[:, np.bincount(indices, minlength=BUCKETS) > 1]


def _fit(features: csr_array, positive: Bools) -> Floats:
    """Fit a logistic model to positives and negatives of equal weight in all."""
    share = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    sign = np.where(positive, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = sign * (features @ weights)
        slope = -share * sign * expit(-margin)
        value = share @ np.logaddexp(0, -margin) + STRENGTH * (weights @ weights) / 2
        return float(value), features.T @ slope + STRENGTH * weights

    start = np.zeros(features.shape[1])
    options = {"maxiter": MOST_STEPS}
    weights: Floats = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    return weights
