"""Two ways to do the same, measured in turn within a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ratio, spread

Arm = Callable[[int], Any]
"""Does so many texts or pairs, and returns a row of numbers for each."""

WARM_UP = 512
FEWEST_ROUNDS, MOST_ROUNDS = 3, 7
PEER_SECONDS = 3.0
"""Of a call of sentence-transformers, if the time allows it."""


def in_turn(
    theirs: Arm, ours: Arm, most: int, seconds: float
) -> tuple[int, dict[str, list[float]], tuple[Any, Any]]:
    """Call both in turn for about so many seconds, after a round that does not count.

    A GPU loads kernels for each new shape, and its clock rises only under load.

    Returns:
        How many each call did, the seconds of each call, and the last results of both.
    """
    end = time.perf_counter() + seconds
    first = min(WARM_UP, most // 4 or 1)
    for _ in range(2):
        start = time.perf_counter()
        theirs(first)
        rate = first / (time.perf_counter() - start)
    ours(first)
    # Both in each round: ours in a third of the time, as the goal is.
    of_call = min(PEER_SECONDS, (end - time.perf_counter()) / ((1 + FEWEST_ROUNDS) * 1.4))
    count = int(np.clip(rate * of_call, first, most))
    took: dict[str, list[float]] = {"theirs": [], "ours": []}
    results = {}
    for number in range(1 + MOST_ROUNDS):
        begun = time.perf_counter()
        for name, arm in (("theirs", theirs), ("ours", ours)):
            start = time.perf_counter()
            results[name] = arm(count)
            if number:
                took[name].append(time.perf_counter() - start)
        now = time.perf_counter()
        if number >= FEWEST_ROUNDS and 2 * now - begun > end:
            break
    return count, took, (results["theirs"], results["ours"])


def row(what: str, unit: str, count: int, took: dict[str, list[float]]) -> dict[str, Any]:
    """Return the rates of both and how many times as fast we are."""
    return {
        "what": what,
        "unit": unit,
        "count": count,
        "sentence-transformers /s": round(count / median(took["theirs"])),
        "hnmine /s": round(count / median(took["ours"])),
        "times as fast": ratio(took["theirs"], took["ours"]),
        "seconds": took,
    }


def same_vectors(theirs: NDArray[Any], ours: NDArray[Any]) -> dict[str, Any]:
    """Compare vectors of the same texts; those of another text show what a difference is."""
    one, other = (_unit(np.asarray(found, np.float64)) for found in (theirs, ours))
    own = (one * other).sum(axis=1)
    return {
        "agreement": f"cosine {own.min():.6f} at least; to another text "
        f"{np.median((one * np.roll(other, 1, axis=0)).sum(axis=1)):.4f}",
        "same": bool(own.min() > 0.999),
    }


def same_logits(theirs: NDArray[Any], ours: NDArray[Any]) -> dict[str, Any]:
    """Compare logits of the same pairs, by the largest difference in standard deviations."""
    theirs, ours = np.ravel(theirs).astype(float), np.ravel(ours).astype(float)
    most, deviation = float(np.abs(theirs - ours).max()), float(theirs.std())
    correlation = float(np.corrcoef(theirs, ours)[0, 1])
    # bfloat16 has 8 bits: a logit near its largest is exact to 1/256, after some layers to less.
    least = max(deviation, float(np.abs(theirs).max()))
    return {
        "agreement": f"difference {most:.2g} at most, deviation {deviation:.2g}, "
        f"correlation {correlation:.5f}",
        "same": most < least * 0.05,
    }


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    unit: NDArray[Any] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def shown(values: list[float]) -> str:
    """Show seconds with their range."""
    return spread(values)
