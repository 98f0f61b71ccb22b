"""What `mine_hard_negatives` of sentence-transformers chooses with the same models and corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.protocol import Judged
from benchmarks.quality.table import Table, slots_of
from hnmine.directories.index import Index
from hnmine.encode import load_cross_encoder
from hnmine.encode.locate import find_model
from hnmine.encode.spec import ModelSpec

DOCUMENTED = {"relative_margin": 0.05, "sampling_strategy": "top"}
"""The setting that its documentation recommends, after the paper NV-Retriever."""


def chosen_by_peer(
    judged: Judged, table: Table, index: Path, encoder: str, cross_encoder: str | None, asked: int
) -> NDArray[np.bool_]:
    """Mark the candidates that it chooses, shape (candidates,).

    It gets each distinct text once, with the vectors and logits that hnmine computed, where there
    are any: they are those of the same models.
    """
    from datasets import Dataset  # type: ignore[import-untyped]
    from sentence_transformers.util import mine_hard_negatives

    opened = Index(index)
    texts = opened.documents.texts(np.asarray(opened.documents.canonical))
    ids = sorted(judged.texts)
    queries = [judged.texts[query] for query in ids]
    known = slots_of(opened, [judged.known[query] for query in ids])
    mined = mine_hard_negatives(
        Dataset.from_dict({"query": queries, "positive": [texts[slot] for slot in known]}),
        _model(encoder, index),
        corpus=texts,
        cross_encoder=_judge(cross_encoder, table, queries, texts) if cross_encoder else None,
        num_negatives=asked,
        verbose=False,
        **DOCUMENTED,
    )
    number = {text: n for n, text in enumerate(queries)}
    slot = {text: n for n, text in enumerate(texts)}
    pairs = np.array(
        [
            number[query] * len(texts) + slot[negative]
            for query, negative in zip(mined["query"], mined["negative"], strict=True)
        ]
    )
    candidates = table.pool.query * len(texts) + table.document
    if not np.isin(pairs, candidates).all():
        raise ValueError("It looks deeper than the candidates: mine with a larger --top-k.")
    return np.isin(candidates, pairs)


def _model(encoder: str, index: Path) -> Any:
    """Return the bi-encoder, which takes the documents' vectors from the index."""
    from sentence_transformers import SentenceTransformer

    vectors = np.concatenate(
        [np.load(path) for path in sorted((index / "dense" / "vectors").glob("*.npy"))]
    )

    class Encoded(SentenceTransformer):  # type: ignore[misc]
        def encode_document(self, *texts: Any, **options: Any) -> NDArray[np.float32]:
            return vectors

    return Encoded(str(find_model(encoder)), device="cpu")


def _judge(cross_encoder: str, table: Table, queries: list[str], texts: list[str]) -> Any:
    """Return the cross-encoder behind the one method that sentence-transformers calls."""
    model = load_cross_encoder(ModelSpec.find(cross_encoder), 1)
    pairs = zip(table.pool.query.tolist(), table.document.tolist(), strict=True)
    known = {
        (queries[query], texts[document]): logit
        for (query, document), logit in zip(pairs, table.judges["ce_score"].tolist(), strict=True)
    }

    class Judge:
        def predict(self, pairs: list[tuple[str, str]], **options: Any) -> Any:
            import torch

            new = [pair for pair in dict.fromkeys(pairs) if pair not in known]
            if new:
                asked, judged = ([pair[side] for pair in new] for side in (0, 1))
                scores = model.score(asked, judged, lambda done: None)
                known.update(zip(new, scores.tolist(), strict=True))
            return torch.tensor([known[pair] for pair in pairs], dtype=torch.float32)

    return Judge()
