"""`--compat`: settings that reproduce `sentence_transformers.util.mine_hard_negatives`.

That function takes the same number of top documents for every query, positives included. It orders
survivors by the score that the rules compare, and counts `range_min` and `range_max` among the
survivors, not among the candidates (version 6.2).
"""

from __future__ import annotations

from hnmine.config import FilterSettings
from hnmine.errors import UsageError

NEVER = 2.0
"""A share of near copies that no two texts reach."""


def resolve(settings: FilterSettings, most_positives: int) -> tuple[FilterSettings, int]:
    """Return equivalent settings, and how many documents that function ranks for each query.

    Args:
        settings: as the user gave them.
        most_positives: of any query.
    """
    limits = (settings.margin, settings.relative_margin, settings.max_score)
    compares = any(limit is not None for limit in limits)
    uses_cross_encoder = settings.cross_encoder and (compares or settings.min_score is not None)
    range_max = settings.range_max
    if range_max is None:
        many = compares or (uses_cross_encoder and settings.min_score is not None)
        depth = settings.num_negatives * (10 if many else 1)
        range_max = settings.range_min + depth + most_positives
    window = f"rank(score) >= {settings.range_min} and rank(score) < {range_max}"
    pool = range_max + most_positives
    update = {
        "cross_encoder": settings.cross_encoder if uses_cross_encoder else None,
        # An expression applies the activation of the cross-encoder to its logits.
        "score": settings.score or "ce" if uses_cross_encoder else "dense",
        "range_min": 0,
        "range_max": pool,
        "within": window,
        "order": "-score",
        "near_copy": NEVER,
        "default_rule": False,
    }
    return settings.model_copy(update=update), pool


def check_depth(pool: int, top_k: int, documents: int) -> None:
    """Check that the candidates are as deep as that function searches.

    Raises:
        UsageError: they are not.
    """
    needed = min(pool, documents)
    if top_k < needed:
        raise UsageError(
            f"--compat sentence-transformers needs {needed:,} documents for each query.",
            why=f"The candidates were mined with --top-k {top_k:,}.",
            fix=f"Mine again with --top-k {needed}.",
        )
