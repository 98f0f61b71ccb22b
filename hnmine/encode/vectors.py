"""What a model gives for texts, made into what is compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError, UsageError


def as_compared(vectors: NDArray[Any], spec: ModelSpec) -> NDArray[np.float32]:
    """Cut vectors to the dimensions wanted, and scale them to length 1 unless dot products count.

    Args:
        vectors: of the model, shape (n, d).
        spec: of the model.

    Returns:
        Shape (n, dimension); zeros where a text has no direction.

    Raises:
        InputError: a vector is not finite, so that no similarity can be computed.
        UsageError: there are fewer dimensions than are to be kept.
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
    if nothing.any():  # Numbers whose squares are 0 in float32 are no direction either.
        vectors = np.where(nothing[:, None], np.float32(0), vectors)
        norms[nothing] = 1
    if spec.similarity == "dot":
        return vectors
    scaled: NDArray[np.float32] = vectors / norms
    return scaled
