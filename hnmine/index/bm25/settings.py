"""The settings that decide the scores of a BM25 index."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hnmine.config import BuildIndexSettings
from hnmine.errors import UsageError
from hnmine.index.bm25.formula import DEFAULT_DELTA, VARIANTS
from hnmine.index.tokenise import Tokeniser


@dataclass(frozen=True)
class BM25Settings:
    """The settings that decide the scores of an index; `formula` has the table.

    Attributes:
        variant: "lucene", "okapi", "plus" or "l".
        k1: saturation of the term frequency, at least 0.
        b: influence of the document's length, 0 to 1.
        delta: the lower bound of variants plus and l, at least 0; None takes the default of
            rank-bm25 (1 and 0.5). The other variants have none.
        tokeniser: splits documents and queries alike.

    Raises:
        UsageError: for an unknown variant, a number out of range, or a delta that has no effect.
    """

    variant: str = "lucene"
    k1: float = 1.5
    b: float = 0.75
    delta: float | None = None
    tokeniser: Tokeniser = field(default_factory=Tokeniser)

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise UsageError(
                f"Unknown BM25 variant: {self.variant!r}.",
                why="The variants differ in their formulas for idf and term frequency.",
                fix=f"Choose one of: {', '.join(VARIANTS)}.",
            )
        if not (0 <= self.k1 < np.inf and 0 <= self.b <= 1 and 0 <= (self.delta or 0) < np.inf):
            raise UsageError(
                f"BM25 setting out of range: k1={self.k1}, b={self.b}, delta={self.delta}.",
                why="Scores are defined for k1 and delta of at least 0 and b from 0 to 1.",
                fix="The usual values are k1=1.5 and b=0.75, and no delta.",
            )
        if self.delta is not None and self.variant not in DEFAULT_DELTA:
            raise UsageError(
                f"BM25 variant {self.variant!r} has no delta.",
                why="Only the variants plus and l bound a term's contribution from below.",
                fix="Remove delta, or choose variant plus or l.",
            )

    @property
    def delta_in_use(self) -> float:
        """The delta that the formulas get: the given one, else the variant's default, else 0."""
        if self.delta is not None:
            return self.delta
        return DEFAULT_DELTA.get(self.variant, 0.0)


def bm25_settings(settings: BuildIndexSettings) -> BM25Settings:
    """Translate the settings of `build-index`."""
    tokeniser = Tokeniser(settings.tokenizer, settings.stemmer)
    return BM25Settings(settings.bm25_variant, settings.k1, settings.b, tokeniser=tokeniser)
