"""What mined negatives must beat: documents drawn from the corpus."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hnmine.directories.candidates import Candidates
from hnmine.keyed_noise import keyed_noise
from hnmine.training.student_rows import Rows

SPARE = 8
"""Documents to draw for a row, beyond its negatives: some are positives, or come twice."""


def random_negatives(rows: Rows, candidates: Candidates, seed: int) -> Rows:
    """Give each row as many documents of the corpus, drawn by chance, as it has negatives.

    No known positive of the query, and not the query itself, is a negative; copies by normalised
    text count as the same document. A small corpus gives fewer.

    Args:
        rows: with the negatives to replace.
        candidates: with the known positives, and the corpus.
        seed: of the draw, which depends on it and on the texts of query and positive.
    """
    corpus = candidates.index.documents
    positives = [own[0] for own in rows.documents]
    never = _never(rows, candidates)
    most = max(len(own) for own in rows.documents) - 1 + SPARE
    drawn = np.stack(
        [
            keyed_noise(seed + 7919 * n, rows.queries, positives) % np.uint64(len(corpus.canonical))
            for n in range(most)
        ],
        axis=1,
    ).astype(np.int64)
    places = corpus.canonical[drawn]
    chosen = []
    for row, own in enumerate(rows.documents):
        allowed = dict.fromkeys(n for n in places[row].tolist() if n not in never[row])
        chosen.append(list(allowed)[: len(own) - 1])
    needed = np.unique(np.concatenate([np.array(one, np.int64) for one in chosen]))
    texts = dict(zip(needed.tolist(), corpus.texts(needed), strict=True))
    documents = [
        [positive, *(texts[n] for n in own)]
        for positive, own in zip(positives, chosen, strict=True)
    ]
    return Rows(rows.queries, documents)


def _never(rows: Rows, candidates: Candidates) -> list[set[int]]:
    """Return for each row the canonical documents that are no negatives of its query."""
    corpus, queries = candidates.index.documents, candidates.queries
    asked = queries.texts.find_texts(list(rows.queries))
    known = np.flatnonzero(asked >= 0)
    offsets, found = queries.positives(asked[known])
    found = corpus.identity[found]
    itself = corpus.find_same(rows.queries)
    positive = corpus.find_same(own[0] for own in rows.documents)
    never = [{int(a), int(b)} for a, b in zip(itself, positive, strict=True)]
    for row, (start, stop) in zip(known.tolist(), pairwise(offsets.tolist()), strict=True):
        never[row].update(found[start:stop].tolist())
    return never
