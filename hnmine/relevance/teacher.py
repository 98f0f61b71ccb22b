"""Contrast or distil: whether a judge ranks the known positives higher than the bi-encoder does.

A student learns from a teacher only what the teacher knows better. Both are measured on one pool:
a query's known positive among candidates that neither of them found. Candidates of the bi-encoder
would be those that it scores too high, and any judge would look better on them.
"""

from __future__ import annotations

import numpy as np
import scipy  # It loads scipy.special when it is used.

from hnmine.ragged import Bools, Floats, Ints
from hnmine.relevance.learned import FAIR_SOURCES, Gain, TeacherTrial
from hnmine.relevance.model import Sample
from hnmine.relevance.pu_learning import DIGITS

STUDENT = "dense_score"
NO_TEACHERS = (STUDENT, "bm25_score")

LEVEL = 0.05
"""Chance that some judge is called better or worse although none is."""


def try_teachers(sample: Sample) -> TeacherTrial | None:
    """Compare every judge with the bi-encoder; None without a judge or a bi-encoder."""
    judges = [name for name in sample.scores if name not in NO_TEACHERS]
    if not judges or STUDENT not in sample.scores:
        return None
    known = np.all([np.isfinite(sample.scores[name]) for name in (*judges, STUDENT)], axis=0)
    pool = sample.found_by(FAIR_SOURCES) & sample.candidate & ~sample.is_positive & known
    positive = np.flatnonzero(sample.is_positive & known)
    first = positive[np.unique(sample.query[positive], return_index=True)[1]]
    counts = np.bincount(sample.query[pool], minlength=int(sample.query.max(initial=-1)) + 1)
    first = first[counts[sample.query[first]] > 0]
    ranks = {
        name: log_ranks(sample.scores[name], sample.query, pool, first)
        for name in (*judges, STUDENT)
    }
    needed = scipy.special.stdtrit(max(1, len(first) - 1), 1 - LEVEL / 2 / len(judges))
    return TeacherTrial(
        queries=len(first),
        candidates=round(float(counts[sample.query[first]].mean()), 1) if len(first) else 0.0,
        needed=round(float(needed), DIGITS),
        over_bi_encoder={name: Gain.of(ranks[STUDENT] - ranks[name]) for name in judges},
    )


def log_ranks(scores: Floats, query: Ints, pool: Bools, positives: Ints) -> Floats:
    """Return log2(1 + rank) of each positive among its query's pool; a tie counts half.

    Args:
        scores: of all rows.
        query: of each row, from 0.
        pool: rows to rank among.
        positives: one row of each query asked about.
    """
    own = np.full(int(query.max(initial=-1)) + 1, np.nan)
    own[query[positives]] = scores[positives]
    rows = np.flatnonzero(pool)
    above = (scores[rows] > own[query[rows]]) + 0.5 * (scores[rows] == own[query[rows]])
    ranks = np.bincount(query[rows], above, len(own))[query[positives]]
    found: Floats = np.log2(1 + ranks)
    return found
