"""Encoding and cross-encoding on a device, against the defaults of sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.models import ENCODERS, RERANKERS, Model, Texts, make
from benchmarks.gpu.timing import in_turn, row, same_logits, same_vectors

PAIRS_AT_ONCE = 4096
"""As a task of `filter` has."""


def precision(device: str) -> str:
    """Return what both compute in."""
    import torch

    if device == "cpu":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _kept(device: str) -> dict[str, Any]:
    import torch

    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return {"device": device, "model_kwargs": {"dtype": types[precision(device)]}}


def encoder(
    name: str, model: Model, folder: Path, texts: list[str], device: str, threads: int,
    seconds: float, *, small: bool,
) -> dict[str, Any]:  # fmt: skip
    """Measure an encoder, as `build-index` runs it."""
    from sentence_transformers import SentenceTransformer

    from hnmine.encode import load_encoder
    from hnmine.encode.spec import ModelSpec

    place = make(model, folder / name, texts, device, small=small)
    their_model = SentenceTransformer(str(place), **_kept(device))
    how = {"device": device, "dtype": precision(device), "backend": "torch"}
    our_model = load_encoder(ModelSpec.find(str(place), use="encoder", **how), threads)

    def theirs(count: int) -> Any:
        return their_model.encode(texts[:count], normalize_embeddings=True, show_progress_bar=False)

    def ours(count: int) -> Any:
        step = getattr(our_model, "at_once", 1024)
        parts = [
            our_model.encode(texts[at : min(at + step, count)], "document")
            for at in range(0, count, step)
        ]
        return np.concatenate(parts)

    count, took, results = in_turn(theirs, ours, min(len(texts), model.most), seconds)
    found = row(f"encode, {name}", "texts", count, took) | same_vectors(*results)
    return found | _facts()


def reranker(
    name: str, model: Model, folder: Path, texts: list[str], queries: list[str], device: str,
    threads: int, seconds: float, *, small: bool,
) -> dict[str, Any]:  # fmt: skip
    """Measure a cross-encoder, as `filter` runs it."""
    import torch
    from sentence_transformers import CrossEncoder

    from hnmine.encode import load_cross_encoder
    from hnmine.encode.spec import ModelSpec

    place = make(model, folder / name, texts, device, small=small)
    their_model = CrossEncoder(str(place), **_kept(device))
    how = {"device": device, "dtype": precision(device), "backend": "torch"}
    spec = ModelSpec.find(str(place), use="cross-encoder", **how)
    our_model = load_cross_encoder(spec, threads)
    asked = [queries[n // 30 % len(queries)] for n in range(len(texts))]
    identity = torch.nn.Identity()

    def theirs(count: int) -> Any:
        pairs = list(zip(asked[:count], texts[:count], strict=True))
        return their_model.predict(pairs, activation_fn=identity, show_progress_bar=False)

    def ours(count: int) -> Any:
        parts = []
        for at in range(0, count, PAIRS_AT_ONCE):
            some = slice(at, min(at + PAIRS_AT_ONCE, count))
            parts.append(our_model.score(asked[some], texts[some], lambda done: None))
        return np.concatenate(parts)

    count, took, results = in_turn(theirs, ours, min(len(texts), model.most), seconds)
    found = row(f"cross-encode, {name}", "pairs", count, took) | same_logits(*results)
    return found | _facts()


def _facts() -> dict[str, Any]:
    """Return how busy the device was in all calls of hnmine's model, warming up included."""
    from hnmine.runner import device_use

    (found,) = device_use.drain()["models"]
    return {name: found[name] for name in ("tokens_per_second", "utilisation", "padding", "tokens")}


def measure(
    folder: Path, device: str, threads: int, seconds: float, *, small: bool
) -> list[dict[str, Any]]:
    """Measure all models within about so many seconds."""
    made = Texts()
    texts = made.passages(200 if small else max(model.most for model in ENCODERS.values()))
    queries = made.queries(200 if small else 2000)
    each = seconds / (len(ENCODERS) + len(RERANKERS))
    rows = []
    for name, model in ENCODERS.items():
        rows.append(encoder(name, model, folder, texts, device, threads, each, small=small))
        _say(rows[-1])
    for name, model in RERANKERS.items():
        given = (name, model, folder, texts, queries, device, threads, each)
        rows.append(reranker(*given, small=small))
        _say(rows[-1])
    return rows


def _say(found: dict[str, Any]) -> None:
    """Print a row at once: a run that is stopped has shown what it measured."""
    shown = {name: value for name, value in found.items() if name != "seconds"}
    print(", ".join(f"{name}: {value}" for name, value in shown.items()), flush=True)
