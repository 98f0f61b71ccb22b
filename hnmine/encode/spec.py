"""What a model's output depends on, resolved without loading it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from hnmine.config import Backend, Dtype
from hnmine.encode.declared import declared
from hnmine.encode.gate import admit
from hnmine.encode.limits import limit_for, output_of, transformer_folder
from hnmine.encode.locate import find_model, fingerprint, is_onnx, modules_of, read_json
from hnmine.encode.roles import Found, Use
from hnmine.errors import InputError, MissingModel, UsageError, missing_extra

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 1024, 32768
"""A small batch keeps the activations in a CPU's cache; a GPU wants a large one."""

OPENVINO_TYPES = (
    "bert", "camembert", "deberta-v2", "distilbert", "electra", "mpnet", "roberta",
    "xlm-roberta",
)  # fmt: skip
"""Model types that are converted without being asked for; the tests compare each with PyTorch."""

AFTER_TOKENS = {"Transformer", "Pooling", "Dense", "Normalize", "LayerNorm", "Dropout"}
"""Modules that take no more of a transformer than the vectors of tokens, or logits."""

EXACTNESS: dict[str, Any] = {
    "to_the_bit": ["another run", "threads", "workers"],
    "cosines_may_differ_by": {
        "order of rows": 1e-6,
        "batch_tokens": 1e-6,
        "backend": 2e-6,
        "dtype": 1e-2,
        "device": None,
    },
    "measured_on": "all-MiniLM-L6-v2, 200 passages, one x86-64 CPU",
}
"""How exactly vectors can be had again; None: not measured. Recorded in manifests.

Measured: 5e-7 for the order of rows and for batch_tokens from 256 to 4096, 7e-7 between PyTorch and
OpenVINO, 4e-3 between fp32 and bf16. What shares a batch changes how sums are cut up.
"""


Similarity = Literal["cosine", "dot"]

LATER = ("prompts_not_used", "similarity", "truncate_dim", "own_modules")
"""Fields that earlier manifests do not have."""


class ModelSpec(BaseModel):
    """What a model's output depends on; recorded in every manifest.

    Attributes:
        model: the name as the user gave it.
        content: hash of the model's files.
        device: where it runs.
        dtype: of its weights and activations; outputs are always float32.
        max_length: tokens after which a text is cut; None: never, or, where an earlier version
            recorded it, as the model's own files say.
        batch_tokens: tokens in one forward pass, about; the last digits can depend on what shares
            a batch. None: one text at a time.
        pooling: of an ONNX encoder; None: cls if the flag of sentence-transformers before 6 says
            so, else mean.
        query_prompt: put before every query; None: nothing, or in what earlier versions wrote,
            what `encode_query` of sentence-transformers takes from the model.
        document_prompt: the same for documents.
        prompts_not_used: names of the model's own prompts that are neither.
        similarity: what vectors are compared by; with dot they keep their lengths.
        truncate_dim: dimensions that are kept; None: all.
        own_modules: whether an ONNX encoder runs what its folder lists after pooling, and pools
            without the prompt where it says so.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    content: str
    backend: Backend
    device: str
    dtype: Dtype = "fp32"
    max_length: int | None = None
    batch_tokens: int | None = None
    pooling: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    prompts_not_used: tuple[str, ...] = ()
    similarity: Similarity = "cosine"
    truncate_dim: int | None = None
    own_modules: bool = False

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out later fields at their defaults: an earlier manifest says the same."""
        found: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        usual = {name for name in LATER if found.get(name) == fields[name].default}
        return {name: value for name, value in found.items() if name not in usual}

    @classmethod
    def find(
        cls,
        model: str,
        *,
        device: str = "auto",
        backend: Backend | Literal["auto"] = "auto",
        dtype: Dtype | Literal["auto"] = "fp32",
        batch_tokens: int | None = None,
        use: Use | None = None,
        max_length: int | None = None,
        **other: Any,
    ) -> ModelSpec:
        """Resolve a model's name, device, batch and length limit without loading it.

        Raises:
            MissingModel: the model is not here or of no use, or the device is not here.
            UsageError: the model or the back end cannot do what is asked.
        """
        folder = find_model(model)
        found = admit(model, folder, use)
        onnx = is_onnx(folder)
        if onnx and dtype not in ("fp32", "auto"):
            raise UsageError(
                f"--dtype {dtype} does not apply to {model}.",
                why="An ONNX graph has its number formats built in.",
                fix="Leave --dtype out.",
            )
        device = "cpu" if onnx else device_for(device)
        backend = backend_for(backend, folder, device, dtype, found)
        automatic = CPU_BATCH_TOKENS if device == "cpu" else GPU_BATCH_TOKENS
        return cls(
            model=model,
            content=fingerprint(folder),
            backend=backend,
            device=device,
            dtype="fp32" if onnx else fast_dtype(device) if dtype == "auto" else dtype,
            max_length=limit_for(model, folder, max_length),
            batch_tokens=None if onnx else batch_tokens or automatic,
            **declared(folder, onnx, other),
        )

    def on(self, device: str) -> ModelSpec:
        """Return the same model on another device; ONNX graphs stay on the CPU.

        Raises:
            MissingModel: the device is not here.
        """
        if self.backend == "onnx":
            return self
        device = device_for(device)
        backend: Backend = self.backend if device == "cpu" else "torch"
        return self.model_copy(update={"device": device, "backend": backend})

    @property
    def exactness(self) -> dict[str, Any] | None:
        """How exactly its vectors can be had again; None: to the bit, one text at a time."""
        return None if self.backend == "onnx" else EXACTNESS

    def folder(self) -> Path:
        """Return the model's folder, checked to be the one that the spec describes.

        Raises:
            InputError: the model has changed since.
        """
        folder = find_model(self.model)
        if fingerprint(folder) != self.content:
            raise InputError(
                f"The model {self.model} is not the one that was used before.",
                why="The content of its files has changed.",
                fix="Bring the old model back, or start again with another directory.",
            )
        return folder


def backend_for(wanted: str, folder: Path, device: str, dtype: str, found: Found) -> Backend:
    """Return what runs a model: the fastest that is installed and can.

    Raises:
        MissingModel: OpenVINO is asked for and not installed.
        UsageError: the back end cannot run the model.
    """
    if is_onnx(folder) or wanted == "onnx":
        if not is_onnx(folder) or wanted not in ("auto", "onnx"):
            raise UsageError(
                f"--backend {wanted} cannot run {folder}.",
                why="ONNX graphs run on onnxruntime, and nothing else does.",
                fix="Leave --backend out, or name the model in its other format.",
            )
        return "onnx"
    installed = importlib.util.find_spec("openvino") is not None
    if wanted == "openvino" and not installed:
        raise missing_extra("openvino", "openvino")
    if wanted == "openvino" and (device != "cpu" or dtype == "fp16"):
        raise UsageError(
            f"--backend openvino cannot run on {device} with --dtype {dtype}.",
            why="Here it runs models on the CPU, in fp32 or bf16.",
            fix="Pass --backend torch, or --device cpu and another --dtype.",
        )
    if wanted == "openvino" and found.role in ("static model", "LLM reranker"):
        raise UsageError(
            f"--backend openvino cannot run {found.a_role}.",
            why=found.why,
            fix="Leave --backend out, or pass --backend torch.",
        )
    config = read_json(transformer_folder(folder), "config.json")
    other = _only_by_pytorch(folder, config)
    if wanted == "openvino" and other:
        raise UsageError(
            "--backend openvino cannot run this model.",
            why=other,
            fix="Leave --backend out, or pass --backend torch.",
        )
    tested = not other and config.get("model_type") in OPENVINO_TYPES and "auto_map" not in config
    tested = tested and found.role != "LLM reranker"
    able = installed and tested and device == "cpu" and dtype != "fp16"
    return "openvino" if wanted == "openvino" or (wanted == "auto" and able) else "torch"


def _only_by_pytorch(folder: Path, config: Mapping[str, Any]) -> str:
    """Say why OpenVINO would not give what a model's modules take; empty if it would."""
    kinds = {str(module.get("type", "")).rpartition(".")[2] for module in modules_of(folder)}
    if others := kinds - AFTER_TOKENS:
        return f"modules.json lists {', '.join(sorted(others))}."
    if (output := output_of(folder)) not in ("last_hidden_state", "logits"):
        return f"Its vectors are made of {output}."
    return "It takes all hidden states." if config.get("output_hidden_states") else ""


def fast_dtype(device: str) -> Dtype:
    """Return bf16 where it is computed in, fp32 where it would be emulated, many times slower."""
    return "bf16" if computes_in_bf16(device) else "fp32"


def computes_in_bf16(device: str) -> bool:
    """Tell whether a device multiplies numbers in bfloat16 faster than in float32."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return device == "cpu" and bool(known.get("amx_bf16") or known.get("avx512_bf16"))


def device_for(wanted: str) -> str:
    """Return the device that a setting means.

    Raises:
        MissingModel: it is not here.
    """
    # To import PyTorch takes longer than to filter with the scores that are there.
    if wanted == "cpu" or (wanted == "auto" and version("torch").endswith("+cpu")):
        return "cpu"
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = wanted.partition(":")[0] if re.fullmatch(r"\w+(:\d+)?", wanted) else ""
    usable = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not usable.get(kind, False):
        here = ", ".join(name for name, there in usable.items() if there)
        raise MissingModel(
            f"There is no device {wanted!r} here.",
            why=f"PyTorch finds: {here}.",
            fix="Pass --device cpu, or install a PyTorch build for the device.",
        )
    return wanted
