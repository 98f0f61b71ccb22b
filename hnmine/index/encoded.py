"""Encode texts into a shard of vectors; name those that the model gives no vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from hnmine.array_files import save_array
from hnmine.encode.interface import Encoder, Kind
from hnmine.inputs.table_reader import BadRows
from hnmine.inputs.texts import Texts
from hnmine.ragged import Ints

ENCODE_BLOCK = 1024
NO_VECTOR = "with a text that the encoder gives no vector (it knows none of its words)"


def write_vectors(
    texts: Iterator[str],
    encoder: Encoder,
    path: Path,
    tick: Callable[[int], None],
    kind: Kind = "document",
    without: Callable[[Ints], None] = lambda rows: None,
) -> dict[str, int]:
    """Encode one shard of texts and write its vectors, float32, shape (texts, dimension).

    Args:
        texts: of the shard.
        encoder: of the texts.
        path: where to write.
        tick: called with the texts done.
        kind: of the texts.
        without: called with the places of texts whose vectors are zeros, block by block.

    Returns:
        Counts: `vectors` that are not zeros.
    """
    parts, empty, done = [], 0, 0
    while block := list(islice(texts, ENCODE_BLOCK)):
        parts.append(encoder.encode(block, kind))
        zeros = np.flatnonzero(~parts[-1].any(axis=1))
        if len(zeros):
            without(done + zeros)
        done, empty = done + len(block), empty + len(zeros)
        tick(len(block))
    with path.open("wb") as file:
        save_array(file, np.concatenate(parts))
    return {"vectors": done - empty}


def refuse_without_vector(
    bad: BadRows, what: str, texts: Texts, rows: Ints
) -> Callable[[Ints], None]:
    """Return what `write_vectors` calls for texts without a vector: it records them by id.

    Args:
        bad: where they are recorded; where they are errors, the first block that has some ends it.
        what: they are.
        texts: that are encoded.
        rows: of the shard's texts, in order.
    """

    def record(places: Ints) -> None:
        for name in texts.id_array(rows[places]).to_pylist():
            bad.add(NO_VECTOR, f"{what} {name!r}")
        bad.settle()

    return record
