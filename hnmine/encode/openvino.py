"""Encoders and cross-encoders of sentence-transformers, whose transformer OpenVINO runs.

Only the forward pass of the transformer is replaced. Each thread runs batches of its own, so that a
vector does not depend on the number of threads.
"""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np

from hnmine.config import Dtype
from hnmine.encode.pytorch import TorchCrossEncoder, TorchEncoder
from hnmine.encode.spec import ModelSpec
from hnmine.errors import missing_extra

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PRECISION = {"fp32": "f32", "bf16": "bf16"}
TILE = 16
"""Rows that a CPU with AMX multiplies at once: a length between costs at least as much."""


class OpenVinoEncoder(TorchEncoder):
    """A bi-encoder whose transformer OpenVINO runs."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        super().__init__(spec, threads)
        run_by_openvino(self.model[0].auto_model, spec.dtype, threads)


class OpenVinoCrossEncoder(TorchCrossEncoder):
    """A cross-encoder whose transformer OpenVINO runs."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        super().__init__(spec, threads)
        run_by_openvino(self.model.model, spec.dtype, threads)


def run_by_openvino(model: PreTrainedModel, dtype: Dtype, threads: int) -> None:
    """Replace the forward pass of a transformer by one on OpenVINO.

    Args:
        model: of the package transformers, on the CPU, in float32.
        dtype: what OpenVINO computes in.
        threads: each of which may call the model at the same time.

    Raises:
        MissingModel: OpenVINO is not installed.
    """
    # OpenVINO sends telemetry if this package can be imported.
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))
    try:
        import openvino
    except ImportError as error:
        raise missing_extra("openvino", "openvino") from error
    import torch
    from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput

    known = inspect.signature(model.forward).parameters
    tokens = torch.ones((2, 16), dtype=torch.long)
    names = [n for n in ("input_ids", "attention_mask", "token_type_ids") if n in known]
    # Many models have only segment 0.
    example = {name: tokens * (name != "token_type_ids") for name in names}
    with warnings.catch_warnings():
        # PyTorch warns of branches that the trace fixes; the tests compare the results.
        warnings.simplefilter("ignore")
        graph = openvino.convert_model(model.eval(), example_input=example)
    compiled = openvino.Core().compile_model(
        graph,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": PRECISION[dtype],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
        },
    )
    longest = getattr(model.config, "max_position_embeddings", None) or 0
    filler = {"input_ids": getattr(model.config, "pad_token_id", None) or 0}
    logits = any("logits" in output.get_names() for output in compiled.outputs)
    of_thread = threading.local()

    def forward(**features: torch.Tensor) -> BaseModelOutput | SequenceClassifierOutput:
        if not hasattr(of_thread, "request"):
            of_thread.request = compiled.create_infer_request()
        # A tokeniser may give no segments; models then take them as 0.
        nothing = torch.zeros_like(features["input_ids"])
        given = {name: features.get(name, nothing).numpy() for name in names}
        length = nothing.shape[1]
        padding = -length % TILE
        if length + padding <= longest:
            given = {
                name: np.pad(values, ((0, 0), (0, padding)), constant_values=filler.get(name, 0))
                for name, values in given.items()
            }
        found = of_thread.request.infer(given)[0]
        # Copied: the next inference of this thread writes to the same memory.
        first = torch.from_numpy((found if logits else found[:, :length]).copy())
        return SequenceClassifierOutput(logits=first) if logits else BaseModelOutput(first)

    model.forward = forward
