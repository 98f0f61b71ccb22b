"""What hnmine asks of a model, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError

Kind = Literal["query", "document"]
Tick = Callable[[int], None]


class Encoder(Protocol):
    """Turns texts into vectors."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        """Load the model that the spec describes."""

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Return unit vectors, shape (texts, dimension)."""
        ...


class CrossEncoder(Protocol):
    """Judges pairs."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        """Load the model that the spec describes."""

    def score(
        self, queries: Sequence[str], documents: Sequence[str], tick: Tick
    ) -> NDArray[np.float32]:
        """Return one raw logit for each pair, no activation applied, shape (pairs,).

        `tick` is called with the number of pairs done.
        """
        ...


def unit_vectors(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Scale vectors, shape (n, d), to length 1.

    Raises:
        InputError: a vector is not finite or is zero, so that no similarity can be computed.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = ~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0)
    if bad.any():
        raise InputError(
            f"The encoder gave zero or non-finite vectors for {bad.sum():,} of {len(bad):,} texts.",
            why="Half precision can overflow, and a damaged model gives NaN.",
            fix="Try --dtype fp32, or another model.",
        )
    scaled: NDArray[np.float32] = vectors / norms
    return scaled


def logits(outputs: NDArray[Any], model: str) -> NDArray[np.float32]:
    """Reduce a classifier's outputs to one logit for each pair, shape (n,).

    One output is taken as it is. Two are taken as log odds, `irrelevant, relevant`: the second
    minus the first.

    Raises:
        InputError: the model has more outputs, so it does not judge relevance.
    """
    outputs = np.asarray(outputs, dtype=np.float32)
    if outputs.ndim == 1:
        return outputs
    if outputs.shape[1] == 1:
        return outputs[:, 0]
    if outputs.shape[1] == 2:
        difference: NDArray[np.float32] = outputs[:, 1] - outputs[:, 0]
        return difference
    raise InputError(
        f"The model {model} has {outputs.shape[1]} outputs.",
        why="A cross-encoder that judges relevance has one, or two (irrelevant, relevant).",
        fix="Name another model with --cross-encoder.",
    )
