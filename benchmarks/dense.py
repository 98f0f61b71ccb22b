"""Dense search against FAISS Flat: the same vectors, the top 100, in turn."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import in_turn, passages_and_queries, ratio, report, spread
from benchmarks.models import ENCODER

K = 100
SHARD = 1 << 17
Vectors = NDArray[np.float32]


def encoded(data: Path | None, documents: int) -> Vectors:
    """Encode passages; where there are fewer than asked, more are mixed from pairs of them."""
    from hnmine.encode import load_encoder
    from hnmine.encode.interface import unit_vectors
    from hnmine.encode.spec import ModelSpec

    _, texts, _ = next(passages_and_queries(data))
    encoder = load_encoder(ModelSpec.find(ENCODER, dtype="auto", max_length=64), 1)
    return grown(unit_vectors(encoder.encode(texts, "document")), documents)


def grown(vectors: Vectors, documents: int) -> Vectors:
    """Return so many vectors: the given ones, then means of two drawn ones, of length 1."""
    random = np.random.default_rng(0)
    more = max(0, documents - len(vectors))
    one, other = random.integers(len(vectors), size=(2, more))
    share = random.uniform(0.5, 1, size=(more, 1)).astype(np.float32)
    mixed = share * vectors[one] + (1 - share) * vectors[other]
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.concatenate([vectors, mixed])[:documents]


def measure(
    vectors: Vectors, queries: Vectors, factories: list[str], threads: int, rounds: int
) -> list[dict[str, object]]:
    """Search for queries that are not among the vectors.

    Recall is that of the exact top 100; FAISS Flat misses some of it, as float32 rounds near ties.
    """
    import faiss
    import torch

    from hnmine.index.dense_index import EXACT, DenseIndex
    from hnmine.index.factory import build_faiss

    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)

    def by_faiss() -> Any:
        # Ours sets PyTorch to one thread, and FAISS's BLAS can share its OpenMP.
        torch.set_num_threads(threads)
        return flat.search(queries, K)[1]

    arms: dict[str, Callable[[], Any]] = {"FAISS IndexFlatIP": by_faiss}
    with tempfile.TemporaryDirectory() as folder:
        asked = np.full(len(queries), K)
        for factory in factories:
            directory = Path(folder) / factory.replace(",", "-")
            (directory / "vectors").mkdir(parents=True)
            shards = []
            for n, start in enumerate(range(0, len(vectors), SHARD)):
                shards.append(directory / "vectors" / f"{n:05d}.npy")
                np.save(shards[-1], vectors[start : start + SHARD])
            if factory != EXACT:
                build_faiss(factory, shards, directory / "index.faiss", threads)
            index = DenseIndex(directory, threads)
            arms[f"hnmine, {factory}"] = lambda index=index: index.search(
                queries, asked
            ).slots.reshape(-1, K)
        seconds, found = in_turn(arms, rounds, cpu=threads == 1)
    peer, exact = list(arms)[:2]
    return [
        {
            "what": name,
            "threads": threads,
            "vectors": len(vectors),
            "queries/s": spread([len(queries) / s for s in seconds[name]]),
            "times the peer": ratio(seconds[peer], seconds[name]),
            "recall": f"{_recall(found[exact], found[name]):.4f}",
        }
        for name in arms
    ]


def _recall(expected: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    pairs = zip(expected, found, strict=True)
    return float(np.mean([len(np.intersect1d(one, other)) / K for one, other in pairs]))


def main() -> None:
    """Measure with one thread (CPU time) or more (wall time)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    parser.add_argument("--vectors", type=Path, help="unit vectors of real texts, as .npy")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--faiss", nargs="*", default=["PQ192x4fs", "PQ128x4fs"])
    arguments = parser.parse_args()
    many = arguments.documents + arguments.queries
    if arguments.vectors:
        vectors = grown(np.load(arguments.vectors), many)
    else:
        vectors = encoded(arguments.data, many)
    # Real ones, from the front, as queries.
    queries, vectors = vectors[: arguments.queries], vectors[arguments.queries :]
    rows = measure(
        vectors, queries, ["Flat", *arguments.faiss], arguments.threads, arguments.rounds
    )
    report(f"dense_{len(vectors)}_{arguments.threads}", rows, ["faiss-cpu"])


if __name__ == "__main__":
    main()
