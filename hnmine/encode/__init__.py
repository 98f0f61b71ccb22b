"""Load encoders and cross-encoders: one file, and one line here, for each back end."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from hnmine.encode.gate import admit
from hnmine.encode.interface import CrossEncoder, Encoder
from hnmine.encode.onnx import OnnxCrossEncoder, OnnxEncoder
from hnmine.encode.openvino import OpenVinoCrossEncoder, OpenVinoEncoder
from hnmine.encode.pytorch import TorchCrossEncoder, TorchEncoder
from hnmine.encode.roles import Use
from hnmine.encode.spec import ModelSpec
from hnmine.runner import incidents

BACKENDS: dict[str, dict[Use, type[Encoder] | type[CrossEncoder]]] = {
    "torch": {"encoder": TorchEncoder, "cross-encoder": TorchCrossEncoder},
    "openvino": {"encoder": OpenVinoEncoder, "cross-encoder": OpenVinoCrossEncoder},
    "onnx": {"encoder": OnnxEncoder, "cross-encoder": OnnxCrossEncoder},
}


def load_encoder(spec: ModelSpec, threads: int) -> Encoder:
    """Load a bi-encoder, unless it is the model that was loaded last.

    Raises:
        MissingModel: it cannot be loaded, or part of its weights is missing.
        UsageError: the model is no encoder.
    """
    return cast(Encoder, _load("encoder", spec, threads))


def load_cross_encoder(spec: ModelSpec, threads: int) -> CrossEncoder:
    """Load a cross-encoder, unless it is the model that was loaded last.

    Raises:
        MissingModel: it cannot be loaded, or part of its weights is missing.
        UsageError: the model is no cross-encoder.
    """
    return cast(CrossEncoder, _load("cross-encoder", spec, threads))


def _load(use: Use, spec: ModelSpec, threads: int) -> Encoder | CrossEncoder:
    # A model that was removed or changed is an error, even if it is loaded.
    found = admit(spec.model, spec.folder(), use)
    if found.note:
        _say_once(f"{spec.model} {found.note}")
    return _loaded(use, spec, threads)


@lru_cache
def _say_once(what: str) -> None:
    incidents.note(what)


@lru_cache(maxsize=1)  # Two large models may not fit in memory.
def _loaded(use: Use, spec: ModelSpec, threads: int) -> Encoder | CrossEncoder:
    return BACKENDS[spec.backend][use](spec, threads)
