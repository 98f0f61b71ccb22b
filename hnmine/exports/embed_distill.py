"""Vectors of the index as labels: a student learns to place texts where its teacher does.

Queries and documents are two files, because most encoders have a prompt for each: the student's
goes into the trainer's `prompts`, by the name of the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.exports.examples import TEXTS_AT_ONCE, Material
from hnmine.exports.format import Format
from hnmine.inputs.texts import Texts
from hnmine.ragged import Ints
from hnmine.sources.queryvectors import QueryVectors


def queries(material: Material) -> Iterator[pa.Table]:
    """Yield `text, label` of each distinct query that was mined."""
    candidates = material.mined.candidates
    similarity = candidates.index.encoder.similarity
    vectors = QueryVectors(candidates.paths, candidates.queries, 1, similarity)
    return _tables(material, material.queries, vectors.rows, vectors.read)


def documents(material: Material) -> Iterator[pa.Table]:
    """Yield `text, label` of each distinct document of the index."""
    documents = material.documents
    vectors = material.mined.candidates.index.vectors(1)
    return _tables(
        material, documents, documents.canonical, lambda rows: vectors.read(documents.slots(rows))
    )


def _tables(
    material: Material, texts: Texts, rows: Ints, read: Callable[[Ints], NDArray[np.float32]]
) -> Iterator[pa.Table]:
    """Yield texts with their vectors; texts that the encoder gives no vector are left out."""
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        block = rows[start : start + TEXTS_AT_ONCE]
        vectors = read(block)
        known = vectors.any(axis=1)
        labels = pa.FixedSizeListArray.from_arrays(
            pa.array(vectors[known].ravel()), vectors.shape[1]
        )
        yield pa.table({"text": texts.text_array(block[known]), "label": labels})
        material.tick(0)


EMBED_DISTILL = Format(
    {"documents.parquet": documents, "queries.parquet": queries},
    configs={name: f"{name}.parquet" for name in ("documents", "queries")},
    vectors=True,
    full="own",
)
