"""Encoding and cross-encoding on a device, against the defaults of sentence-transformers."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.models import ENCODERS, RERANKERS, Model, Texts, make
from benchmarks.gpu.timing import in_turn, row, same_logits, same_vectors

PAIRS_AT_ONCE = 4096
"""As a task of `filter` has."""

Where = tuple[Path, str, int]
"""The folder of a model, the device, and the threads."""

PROFILED = ("MiniLM-L6", "Qwen3-0.6B", "Qwen3-0.6B classifier")
PROFILED_TEXTS, PROFILED_ROWS = 4096, 12


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
    name: str, model: Model, texts: list[str], where: Where, seconds: float
) -> dict[str, Any]:
    """Measure an encoder, as `build-index` runs it."""
    from sentence_transformers import SentenceTransformer

    from hnmine.encode import load_encoder
    from hnmine.encode.spec import ModelSpec

    place, device, threads = where
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
    name: str, model: Model, texts: list[str], queries: list[str], where: Where, seconds: float
) -> dict[str, Any]:
    """Measure a cross-encoder, as `filter` runs it."""
    import torch
    from sentence_transformers import CrossEncoder

    from hnmine.encode import load_cross_encoder
    from hnmine.encode.spec import ModelSpec

    place, device, threads = where
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


def profile(folder: Path, device: str, threads: int, *, small: bool) -> None:
    """Print where the time of one call of hnmine goes, for a few models."""
    import torch
    from torch.profiler import ProfilerActivity

    from hnmine.encode import load_cross_encoder, load_encoder
    from hnmine.encode.spec import ModelSpec

    made = Texts()
    texts = made.passages(128 if small else PROFILED_TEXTS)
    queries = made.queries(len(texts))
    on_gpu = device.startswith("cuda")
    kinds = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_gpu]
    for name in PROFILED:
        model = {**ENCODERS, **RERANKERS}[name]
        place = make(model, folder / name, texts, device, small=small)
        how = {"device": device, "dtype": precision(device), "backend": "torch"}
        if model.pooling:
            encoder = load_encoder(ModelSpec.find(str(place), use="encoder", **how), threads)
            call = partial(encoder.encode, texts, "document")
        else:
            spec = ModelSpec.find(str(place), use="cross-encoder", **how)
            judge = load_cross_encoder(spec, threads)
            call = partial(judge.score, queries, texts, lambda done: None)
        call()
        start = time.perf_counter()
        call()
        alone = time.perf_counter() - start
        # The model runs on threads of its own.
        everywhere = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
        with torch.profiler.profile(activities=kinds, experimental_config=everywhere) as seen:
            call()
        by = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
        print(f"\nprofile of {name}, {len(texts):,} texts, {alone:.2f} s without the profiler")
        table = seen.key_averages().table(sort_by=by, row_limit=PROFILED_ROWS)
        print("\n".join(line[:60] + line[-110:] for line in table.split("\n")))


def _facts() -> dict[str, Any]:
    """Return how busy the device was in all calls of hnmine's model, warming up included."""
    from hnmine.runner import device_use

    found = device_use.drain()["models"][-1]
    return {name: found[name] for name in ("tokens_per_second", "utilisation", "padding", "tokens")}


def measure(
    folder: Path, device: str, threads: int, seconds: float, *, small: bool
) -> list[dict[str, Any]]:
    """Measure all models within about so many seconds."""
    made = Texts()
    texts = made.passages(200 if small else max(model.most for model in ENCODERS.values()))
    queries = made.queries(200 if small else 2000)
    end, rows = time.perf_counter() + seconds, []
    left = len(ENCODERS) + len(RERANKERS)
    for name, model in [*ENCODERS.items(), *RERANKERS.items()]:
        each = (end - time.perf_counter()) / left
        start, left = time.perf_counter(), left - 1
        where = (make(model, folder / name, texts, device, small=small), device, threads)
        each -= time.perf_counter() - start
        if model.pooling:
            rows.append(encoder(name, model, texts, where, each))
        else:
            rows.append(reranker(name, model, texts, queries, where, each))
        _say(rows[-1])
    return rows


def _say(found: dict[str, Any]) -> None:
    """Print a row at once: a run that is stopped has shown what it measured."""
    shown = {name: value for name, value in found.items() if name != "seconds"}
    print(", ".join(f"{name}: {value}" for name, value in shown.items()), flush=True)
