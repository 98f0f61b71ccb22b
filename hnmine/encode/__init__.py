"""Load encoders and cross-encoders: one file, and one line here, for each back end."""

from __future__ import annotations

from functools import lru_cache
from typing import NoReturn, cast

from hnmine.encode.gate import admit
from hnmine.encode.interface import CrossEncoder, Encoder, Kind
from hnmine.encode.onnx import OnnxCrossEncoder, OnnxEncoder
from hnmine.encode.openvino import OpenVinoCrossEncoder, OpenVinoEncoder
from hnmine.encode.pytorch import TorchCrossEncoder, TorchEncoder
from hnmine.encode.roles import Use
from hnmine.encode.served import ServedCrossEncoder, ServedEncoder
from hnmine.encode.spec import ModelSpec
from hnmine.errors import UsageError
from hnmine.runner import incidents

BACKENDS: dict[str, dict[Use, type[Encoder] | type[CrossEncoder]]] = {
    "torch": {"encoder": TorchEncoder, "cross-encoder": TorchCrossEncoder},
    "openvino": {"encoder": OpenVinoEncoder, "cross-encoder": OpenVinoCrossEncoder},
    "onnx": {"encoder": OnnxEncoder, "cross-encoder": OnnxCrossEncoder},
    "server": {"encoder": ServedEncoder, "cross-encoder": ServedCrossEncoder},
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


def check_encodes(spec: ModelSpec, kind: Kind) -> None:
    """Refuse to encode texts where no encoder is known, or a manifest alone names its server.

    Raises:
        UsageError: no encoder may be asked.
    """
    if spec.backend == "files":
        refuse_to_encode(kind)
    if spec.backend == "server" and spec.reach is None:
        raise UsageError(
            f"The documents were encoded by a server: {spec.model}.",
            why="hnmine asks only servers that the command names, not those that an index names.",
            fix=f"Pass --query-encoder {spec.model}, or --query-vectors.",
        )


def refuse_to_encode(kind: Kind) -> NoReturn:
    """Say that no encoder is known.

    Raises:
        UsageError: always.
    """
    what = "queries" if kind == "query" else "documents"
    raise UsageError(
        f"The {what} cannot be encoded: no encoder of this index is known.",
        why="Its vectors were read from files.",
        fix="Mine with --query-vectors, or with --query-encoder and the model that made them; "
        "`hnmine mine --source bm25` needs neither.",
    )


def _load(use: Use, spec: ModelSpec, threads: int) -> Encoder | CrossEncoder:
    check_encodes(spec, "query")
    if spec.backend == "server":
        return _loaded(use, spec, threads)
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
