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
        """Return vectors as they are compared, shape (texts, dimension).

        For cosines they have length 1. A text that the model gives no direction has zeros.
        """
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
