"""Settings of earlier versions, and what replaces each."""

from __future__ import annotations

from hnmine.config.setting import key_of

RETIRED = {
    "target_fn_rate": "Scores cannot bound the share of false negatives. Use --max-false, with "
    "judgements.",
    "calibrate_by": "It grouped the cuts of target-fn-rate, which is gone too. Use --max-false, "
    "with judgements.",
    "max_p_relevant": "Its estimate was no probability. Use --where 'relevance <= X', or "
    "--max-false with judgements.",
}
"""By name: why it is gone, and the successor. YAML files, flags and keywords all look here."""


def why_gone(name: str) -> str:
    """Return that a setting was removed, and its successor; empty if there was none."""
    reason = RETIRED.get(name.replace("-", "_"))
    return f"{key_of(name)}: removed. {reason}" if reason else ""
