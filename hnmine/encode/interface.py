"""The protocols of encoders and cross-encoders, and the checks of their outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError, UsageError

Kind = Literal["query", "document"]
Tick = Callable[[int], None]


class Encoder(Protocol):
    """Turns texts into vectors."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        """Load the model that the spec describes."""

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Return vectors to compare, shape (texts, dimension); see `as_compared`."""
        ...


class CrossEncoder(Protocol):
    """Scores pairs of texts."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        """Load the model that the spec describes."""

    def score(
        self, queries: Sequence[str], documents: Sequence[str], tick: Tick
    ) -> NDArray[np.float32]:
        """Return one raw logit for each pair, no activation applied, shape (pairs,).

        `tick` is called with the number of pairs done.
        """
        ...


def logits(outputs: NDArray[np.floating], model: str) -> NDArray[np.float32]:
    """Reduce a classifier's outputs to one logit for each pair, shape (n,).

    Two outputs are `irrelevant, relevant`; the logit is the second minus the first.

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


def as_compared(vectors: NDArray[np.floating], spec: ModelSpec) -> NDArray[np.float32]:
    """Truncate a model's vectors, and scale them to length 1 unless they are compared by dot.

    Returns:
        Shape (n, dimension); zeros where a text has no direction.

    Raises:
        InputError: a vector is not finite.
        UsageError: the model has fewer dimensions than `--truncate-dim`.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if spec.truncate_dim:
        if spec.truncate_dim > vectors.shape[1]:
            raise UsageError(
                f"--truncate-dim {spec.truncate_dim:,} is more than {spec.model} has.",
                why=f"Its vectors have {vectors.shape[1]:,} dimensions.",
                fix="Keep fewer, or leave --truncate-dim out.",
            )
        vectors = vectors[:, : spec.truncate_dim]
    vectors = np.ascontiguousarray(vectors)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = ~np.isfinite(norms[:, 0])
    if bad.any():
        raise InputError(
            f"The encoder {spec.model} gave non-finite vectors for {bad.sum():,} of {len(bad):,} "
            f"texts, on {spec.backend} in {spec.dtype}.",
            why="A damaged model gives NaN."
            if spec.dtype == "fp32"
            else "Half precision can overflow, and a damaged model gives NaN.",
            fix="Try --backend torch, or another model."
            if spec.dtype == "fp32"
            else "Try --dtype fp32, or another model.",
        )
    nothing = norms[:, 0] == 0
    if nothing.any():  # Also where the squares underflow to 0 in float32.
        vectors = np.where(nothing[:, None], np.float32(0), vectors)
        norms[nothing] = 1
    if spec.similarity == "dot":
        return vectors
    scaled: NDArray[np.float32] = vectors / norms
    return scaled
