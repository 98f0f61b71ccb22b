"""What identifies a model on a server: its answer to a fixed text, compared with a tolerance.

A GPU gives other last digits in every batch, so a hash of the answer would not do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TEXT = "A lighthouse keeper counts the ships that pass before the fog comes in."
QUERY = "How tall is the Eiffel Tower?"
DOCUMENTS = (
    "The Eiffel Tower is 330 metres tall, about as high as a building of 81 floors.",
    "The Eiffel Tower was built for the World's Fair of 1889 in Paris.",
    "Boil the eggs for seven minutes and put them into cold water.",
    "The Empire State Building has a height of 381 metres without its antenna.",
)
NUMBERS = 16
TOLERANCE = 0.06
"""Root of the mean square of differences, as a share of the spread: a cosine of 0.998."""

LARGEST = 6e4
"""Of float16, about."""

SCORES = "scores"


def of_vector(vector: NDArray[np.float32]) -> str:
    """Return what identifies an encoder: its dimension, and a few sums over a vector."""
    unit = vector.astype(np.float64) / (np.linalg.norm(vector.astype(np.float64)) or 1.0)
    place = (np.arange(len(unit)) + 0.5) / len(unit)
    waves = np.cos(np.pi * np.arange(1, NUMBERS + 1)[:, None] * place)
    numbers = np.clip(waves @ unit, -LARGEST, LARGEST).astype("<f2")
    return f"{len(vector)}d-{numbers.tobytes().hex()}"


def of_scores(scores: NDArray[np.float32]) -> str:
    """Return what identifies a cross-encoder: its scores of the fixed pairs."""
    return f"{SCORES}-{scores.astype('<f4').tobytes().hex()}"


def same(one: str, other: str) -> bool:
    """Tell whether two answers are those of one model."""
    (kind, first), (other_kind, second) = (_read(text) for text in (one, other))
    if kind != other_kind or len(first) != len(second):
        return False
    if kind == SCORES and all(((some > 0) & (some < 1)).all() for some in (first, second)):
        # Probabilities of all good rerankers are close; what they are made of is not.
        first, second = (np.log(some / (1 - some)) for some in (first, second))
    difference = float(np.sqrt(np.mean((first - second) ** 2))) if len(first) else 0.0
    return one == other or difference <= TOLERANCE * float(first.std())


def _read(text: str) -> tuple[str, NDArray[np.float64]]:
    kind, _, numbers = text.rpartition("-")
    try:
        stored = "<f4" if kind == SCORES else "<f2"
        values = np.frombuffer(bytes.fromhex(numbers), stored).astype(np.float64)
    except ValueError:  # The hash of a model's files.
        return text, np.empty(0)
    return kind, values
