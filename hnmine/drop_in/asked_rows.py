"""Which rows `mine_hard_negatives` is asked for, and the settings of hnmine that give them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

from hnmine.drop_in.given_models import GivenModel
from hnmine.drop_in.pair_tables import Pairs
from hnmine.errors import UsageError
from hnmine.runner.plan import Json

USUAL_DEPTH = 100
"""Candidates of each query, unless its window is deeper."""


@dataclass(frozen=True)
class Asked:
    """Which negatives are asked for, in the words of sentence-transformers."""

    range_min: int
    range_max: int | None
    max_score: float | None
    min_score: float | None
    absolute_margin: float | None
    relative_margin: float | None
    num_negatives: int
    sampling_strategy: str
    output_format: str
    output_scores: bool
    include_positives: bool
    compat: bool

    def without_old_names(self, as_triplets: bool | None, margin: float | None) -> Asked:
        """Return the same in the present words, with a warning for each old one.

        Raises:
            UsageError: positives are to be ranked without `compat`.
        """
        layout, scores = self.output_format, self.output_scores
        if margin is not None:
            _deprecated("margin", "absolute_margin")
        if as_triplets is not None:
            layout = "triplet" if as_triplets else "n-tuple"
            _deprecated("as_triplets", f"output_format={layout!r}")
        if layout == "n-tuple-scores":
            layout, scores = "n-tuple", True
            _deprecated("n-tuple-scores", "output_format='n-tuple' with output_scores=True")
        if self.include_positives:
            if not self.compat:
                raise UsageError(
                    "include_positives: needs compat=True.",
                    why="hnmine never chooses a positive as a negative.",
                    fix="Pass compat=True for a ranking as sentence-transformers makes it.",
                )
            layout = "n-tuple"
        if self.sampling_strategy not in ("top", "random"):
            raise UsageError(
                f"sampling_strategy: {self.sampling_strategy!r} is neither 'top' nor 'random'.",
                fix="Pass one of them, or weights as sampling='1 / (1 + rank)'.",
            )
        return replace(self, output_format=layout, output_scores=scores)

    @property
    def compares(self) -> bool:
        """Whether a rule about the score is given."""
        limits = (self.max_score, self.min_score, self.absolute_margin, self.relative_margin)
        return any(limit is not None for limit in limits)

    def allows(self, score: float, positive: float) -> bool:
        """Tell whether a score is within the limits of a query with this positive score."""
        return not (
            (self.absolute_margin is not None and score > positive - self.absolute_margin)
            or (
                self.relative_margin is not None
                and score > positive - abs(positive) * self.relative_margin
            )
            or (self.max_score is not None and score > self.max_score)
            or (self.min_score is not None and score < self.min_score)
        )

    def window(self, pairs: Pairs, judged: bool) -> int:
        """Return `range_max` as sentence-transformers derives it where it is not given."""
        if self.range_max is not None:
            return self.range_max
        limits = (self.max_score, self.absolute_margin, self.relative_margin)
        many = any(limit is not None for limit in limits)
        many = many or (judged and self.min_score is not None)
        return self.range_min + self.num_negatives * (10 if many else 1) + pairs.most_rows

    def of_mine(self, pairs: Pairs) -> Json:
        """Return the settings of `mine`."""
        if not self.compat:
            wanted = self.range_max or self.range_min + 10 * self.num_negatives
            return {"top_k": max(USUAL_DEPTH, wanted)}
        # With a cross-encoder the window may be wider; more candidates change nothing.
        return {"top_k": self.window(pairs, judged=True) + pairs.most_rows, "source": ["dense"]}

    def of_filter(self, pairs: Pairs, judge: GivenModel | None) -> Json:
        """Return the settings of `filter`."""
        found: Json = {
            "range_min": self.range_min,
            "range_max": self.range_max,
            "max_score": self.max_score,
            "min_score": self.min_score,
            "margin": self.absolute_margin,
            "relative_margin": self.relative_margin,
            "num_negatives": self.num_negatives,
            "sampling": self.sampling_strategy,
            "format": self.output_format,
            "output_scores": self.output_scores,
        }
        if judge:
            found["cross_encoder"] = judge.name
            if self.compares or (self.output_scores and not self.compat):
                found["score"] = judge.score
        if self.compat:
            found["compat"] = "sentence-transformers"
            found["range_max"] = self.window(pairs, judge is not None)
            if self.sampling_strategy == "top":
                # It searches as deep as the query with the most rows asks for, repeated or not.
                found["range_max"] += pairs.most_rows - pairs.most_positives
        return found


def _deprecated(old: str, new: str) -> None:
    message = f"{old} is deprecated, as in sentence-transformers; use {new}."
    warnings.warn(message, DeprecationWarning, stacklevel=4)
