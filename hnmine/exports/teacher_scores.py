"""A teacher's scores for distillation: on one scale, with the known positive on top of its list.

A cross-encoder's logits range over some 20 units; cosines of unit vectors differ by 2 at most. A
student of raw logits can only fail, so the scores of a file are scaled by their percentiles. And a
teacher that puts some candidate above a known positive is more often wrong than the label: without
the pin, students learn to rank the positive below it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hnmine.ragged import Bools, Floats, Ints

LOWEST, HIGHEST = 1.0, 99.0
"""The percentiles that become 0 and 1. Scores beyond them keep their order."""

PIN = 0.2
"""How far a pinned positive stands above its list: about a standard deviation of normal scores."""

STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.05, 0.1
"""For cosines and for scaled scores, in a loss of two softmax distributions (DistillKLDivLoss)."""

SAMPLED = 1 << 20
"""Scores that percentiles are taken of: more change the third decimal at most."""

SEED = 5


@dataclass(frozen=True)
class TeacherScale:
    """The scale of a teacher's scores over a whole file.

    Attributes:
        low: the score that becomes 0.
        high: the score that becomes 1.
    """

    low: float
    high: float

    @classmethod
    def of(cls, parts: Iterable[Floats]) -> TeacherScale:
        """Measure the scale; scores that are not finite do not count.

        Args:
            parts: the scores in parts. A large file's are sampled, so that memory stays bounded.
        """
        drawn = np.random.default_rng(SEED)
        scores, priority = np.zeros(0), np.zeros(0)
        for part in parts:
            part = part[np.isfinite(part)]
            scores = np.concatenate([scores, part])
            priority = np.concatenate([priority, drawn.random(len(part))])
            if len(scores) > SAMPLED:
                first = np.sort(np.argpartition(priority, SAMPLED)[:SAMPLED])
                scores, priority = scores[first], priority[first]
        if not len(scores):
            return cls(0.0, 1.0)
        low, high = np.percentile(scores, [LOWEST, HIGHEST])
        if low == high:  # Nearly all scores are equal: the few others give the width.
            low, high = scores.min(), scores.max()
        return cls(float(low), float(high) if high > low else float(low) + 1.0)

    def apply(self, scores: Floats) -> Floats:
        """Return scores on this scale: 0 and 1 are the percentiles, the order stays."""
        scaled: Floats = (scores - self.low) / (self.high - self.low)
        return scaled


def pin_positives(scores: Floats, query: Ints, is_positive: Bools) -> Floats:
    """Return scaled scores with each positive at least `PIN` above its query's other documents.

    Args:
        scores: of `TeacherScale.apply`, shape (rows,); those that are not finite stay.
        query: the query of each row, from 0.
        is_positive: the known positives. A positive without a score gets the lowest that is
            allowed.
    """
    top = np.full(int(query.max(initial=-1)) + 1, -np.inf)
    others = ~is_positive & np.isfinite(scores)
    np.maximum.at(top, query[others], scores[others])
    floor = top[query] + PIN
    pinned: Floats = np.where(is_positive & np.isfinite(floor), np.fmax(scores, floor), scores)
    return pinned


def teacher_labels(scores: Floats, pinned: bool = True) -> Floats:
    """Return the labels of a loss for lists of one length, in which the positive stands first.

    Args:
        scores: as the teacher gave them, shape (lists, documents).
        pinned: whether the positive is lifted to the top of its list.
    """
    scaled = TeacherScale.of([scores.ravel()]).apply(scores)
    if not pinned:
        return scaled
    query = np.repeat(np.arange(len(scores)), scores.shape[1])
    first = np.arange(scores.size) % scores.shape[1] == 0
    return pin_positives(scaled.ravel(), query, first).reshape(scores.shape)
