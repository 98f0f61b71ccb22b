"""Texts to vectors, pairs to logits: one file, and one line here, for each back end."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hnmine.encode.base import CrossEncoder, Encoder
from hnmine.encode.models import find_model, is_onnx, read_json
from hnmine.encode.onnx import OnnxCrossEncoder, OnnxEncoder
from hnmine.encode.onnx import is_classifier as onnx_is_classifier
from hnmine.encode.openvino import OpenVinoCrossEncoder, OpenVinoEncoder
from hnmine.encode.pytorch import TorchCrossEncoder, TorchEncoder
from hnmine.encode.spec import ModelSpec

BACKENDS: dict[str, tuple[type[Encoder], type[CrossEncoder]]] = {
    "torch": (TorchEncoder, TorchCrossEncoder),
    "openvino": (OpenVinoEncoder, OpenVinoCrossEncoder),
    "onnx": (OnnxEncoder, OnnxCrossEncoder),
}


def is_cross_encoder(model: str) -> bool:
    """Tell whether a model judges pairs: a classifier in its configuration, else by its outputs.

    Raises:
        MissingModel: it is not here, or damaged.
    """
    folder = find_model(model)
    if is_onnx(folder):
        return onnx_is_classifier(folder)
    architectures = read_json(folder, "config.json").get("architectures") or []
    return any(name.endswith("ForSequenceClassification") for name in architectures)


def load_encoder(spec: ModelSpec, threads: int) -> Encoder:
    """Load a bi-encoder, or return the one that was loaded last, if it is the same."""
    encoder: Encoder = _load(0, spec, threads)
    return encoder


def load_cross_encoder(spec: ModelSpec, threads: int) -> CrossEncoder:
    """Load a cross-encoder, or return the one that was loaded last, if it is the same."""
    cross_encoder: CrossEncoder = _load(1, spec, threads)
    return cross_encoder


def _load(kind: int, spec: ModelSpec, threads: int) -> Any:
    spec.folder()  # Gone or changed since, it is an error however it was loaded before.
    return _loaded(kind, spec, threads)


@lru_cache(maxsize=1)  # The stages of one process take turns; two large models may not fit.
def _loaded(kind: int, spec: ModelSpec, threads: int) -> Any:
    return BACKENDS[spec.backend][kind](spec, threads)
