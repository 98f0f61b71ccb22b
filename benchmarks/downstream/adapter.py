"""A student that trains in seconds: the encoder frozen, a square matrix on top of it trained.

At the first step its loss, and the gradient on every vector, are those of the whole encoder with
the same weights; what it can make of them is a linear map that begins as the identity.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, InputModule, Normalize

from hnmine.directories.index import Index
from hnmine.encode.locate import find_model
from hnmine.training.retrieval_measures import Vectors


class Remembered(InputModule):  # type: ignore[misc]
    """The frozen encoder as a table from text to vector.

    Args:
        rows: the row of each text.
        vectors: shape (texts, dimension).
    """

    def __init__(self, rows: dict[str, int], vectors: Vectors) -> None:
        super().__init__()
        self.rows, self.vectors = rows, torch.from_numpy(vectors)
        self.tokenizer = None

    def preprocess(self, inputs: Any, prompt: str | None = None, **more: Any) -> dict[str, Any]:
        """Look texts up; the trainer finds the columns of a batch by this name."""
        return {"sentence_embedding": self.vectors[[self.rows[text] for text in inputs]]}

    def forward(self, features: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Pass the vectors on."""
        return features

    def save(self, output_path: str, *more: Any, **options: Any) -> None:
        """Refuse: a table is no model."""
        raise NotImplementedError("The adapter is for measuring alone.")


def adapter(rows: dict[str, int], vectors: Vectors) -> SentenceTransformer:
    """Return a student that begins as the encoder that made the vectors.

    Args:
        rows: the row of each text.
        vectors: of unit length, shape (texts, dimension).
    """
    size = vectors.shape[1]
    dense = Dense(size, size, bias=False, activation_function=torch.nn.Identity())
    with torch.no_grad():
        dense.linear.weight.copy_(torch.eye(size))
    return SentenceTransformer(
        modules=[Remembered(rows, vectors), dense, Normalize()], device="cpu"
    )


def remember(home: Path, encoder: str, student: str) -> tuple[dict[str, int], Vectors]:
    """Return the row of each text of a prepared collection, and its vector.

    Args:
        home: of `runs.prepare`.
        encoder: that made the vectors of its index.
        student: of whom vectors are wanted; those of the index serve where it is the same model.
    """
    documents = Index(home / "index").documents
    known: dict[str, int] = {}
    vectors: list[Vectors] = []
    if encoder == student:
        shards = sorted((home / "index" / "dense" / "vectors").glob("*.npy"))
        vectors = [np.concatenate([np.load(path) for path in shards])]
        rows = np.arange(len(documents))
        slots = documents.slots(rows)
        known = dict(zip(documents.texts(rows), slots.tolist(), strict=True))
    texts = [
        text
        for file in (home / "corpus", home / "queries", home / "held-out" / "queries")
        for text in pq.read_table(file.with_suffix(".parquet"))["text"].to_pylist()
    ]
    new = [text for text in dict.fromkeys(texts) if text not in known]
    path = home / "frozen-vectors.npy"
    if not path.exists():
        model = SentenceTransformer(str(find_model(student)))
        np.save(path, model.encode(new, normalize_embeddings=True, show_progress_bar=False))
    start = len(vectors[0]) if vectors else 0
    known |= {text: start + place for place, text in enumerate(new)}
    return known, np.concatenate([*vectors, np.load(path)])
