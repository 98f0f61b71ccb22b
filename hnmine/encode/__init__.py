"""Texts to vectors, pairs to logits: one file, and one line here, for each back end."""

from __future__ import annotations

from hnmine.encode.base import CrossEncoder, Encoder
from hnmine.encode.onnx import OnnxCrossEncoder, OnnxEncoder
from hnmine.encode.pytorch import TorchCrossEncoder, TorchEncoder
from hnmine.encode.spec import ModelSpec

BACKENDS: dict[str, tuple[type[Encoder], type[CrossEncoder]]] = {
    "torch": (TorchEncoder, TorchCrossEncoder),
    "onnx": (OnnxEncoder, OnnxCrossEncoder),
}


def load_encoder(spec: ModelSpec, threads: int) -> Encoder:
    """Load a bi-encoder."""
    return BACKENDS[spec.backend][0](spec, threads)


def load_cross_encoder(spec: ModelSpec, threads: int) -> CrossEncoder:
    """Load a cross-encoder."""
    return BACKENDS[spec.backend][1](spec, threads)
