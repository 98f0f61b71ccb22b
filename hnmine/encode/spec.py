"""Resolve a model and all that its output depends on, without loading it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from typing_extensions import Unpack

from hnmine.config import Backend, Dtype
from hnmine.config.shared import Reach
from hnmine.encode.address import is_served, use_of_served
from hnmine.encode.declared import Declared, Similarity, declared
from hnmine.encode.devices import device_for, dtype_for
from hnmine.encode.gate import admit, refuse_for_server
from hnmine.encode.limits import limit_for, output_of, transformer_folder
from hnmine.encode.locate import find_model, fingerprint, is_onnx, modules_of, read_json
from hnmine.encode.roles import Found, Use
from hnmine.errors import InputError, UsageError, missing_extra
from hnmine.runner.plan import Json

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 1024, (16384, 131072)
"""A small batch keeps the activations in a CPU's cache; a GPU needs a large one."""

GPU_BATCH_VALUES = 1 << 25
"""Values of a batch between two layers; those within a layer take about 20 times as much memory: in
half precision 1.3 GB."""

WIDTHS, USUAL_WIDTH = ("hidden_size", "dim", "d_model", "n_embd"), 1024

OPENVINO_TYPES = (
    "bert", "camembert", "deberta-v2", "distilbert", "electra", "mpnet", "roberta",
    "xlm-roberta",
)  # fmt: skip
"""Model types that --backend auto converts; the tests compare each with PyTorch."""

AFTER_TOKENS = {"Transformer", "Pooling", "Dense", "Normalize", "LayerNorm", "Dropout"}
"""Modules that need only the token vectors of a transformer, or its logits."""

EXACTNESS: Json = {
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
"""How exactly vectors can be reproduced; None: not measured. Recorded in manifests.

Measured: 5e-7 for the order of rows and for batch_tokens from 256 to 4096, 7e-7 between PyTorch and
OpenVINO, 4e-3 between fp32 and bf16. The shape of a batch changes the order of sums.
"""

Elsewhere = Literal["files", "server"]
"""What stands for a back end where an encoder elsewhere makes the vectors."""

LATER = ("prompts_not_used", "similarity", "truncate_dim", "own_modules", "served_as")
"""Fields that earlier manifests lack."""


class ModelSpec(BaseModel):
    """All that a model's output depends on; recorded in every manifest.

    Attributes:
        model: the name as the user gave it.
        content: hash of the model's files, or of the vectors' files; of a model on a server, its
            answers to a fixed text, which `probe.same` compares.
        dtype: of weights and activations; outputs are always float32.
        max_length: tokens after which a text is cut; None: never, or in earlier versions, the
            model's own limit.
        batch_tokens: tokens in one forward pass, about; the last digits can depend on the other
            texts of a batch. None: one text at a time.
        pooling: of an ONNX encoder; None: cls if the flag of sentence-transformers before 6 says
            so, else mean.
        query_prompt: before every query; None: none, or in earlier versions, the prompt of
            `encode_query` of sentence-transformers.
        document_prompt: the same for documents.
        prompts_not_used: names of the model's other prompts.
        similarity: compares vectors; with dot they keep their lengths.
        truncate_dim: dimensions to keep; None: all.
        own_modules: whether an ONNX encoder runs the modules after pooling, and pools without the
            prompt where the model says so.
        served_as: the model's name on its server.
        reach: how the server is asked; not recorded, so that no manifest makes hnmine ask one.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    content: str
    backend: Backend | Elsewhere
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
    served_as: str | None = None
    reach: Reach | None = Field(default=None, exclude=True)

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> Json:
        """Leave out later fields at their defaults, as earlier manifests do."""
        found: Json = dump(self)
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
        dtype: Dtype | Literal["auto"] | None = None,
        batch_tokens: int | None = None,
        use: Use | None = None,
        max_length: int | None = None,
        reach: Reach = Reach(),  # noqa: B008 - it is frozen.
        **given: Unpack[Declared],
    ) -> ModelSpec:
        """Resolve a model's name, device, batch and length limit without loading it.

        Raises:
            MissingModel: the model or the device is missing, or hnmine cannot use the model.
            UsageError: the model or the back end does not fit the settings.
        """
        if is_served(model):
            return cls._served(model, use or use_of_served(model), max_length, reach, given)
        folder = find_model(model)
        found = admit(model, folder, use)
        onnx = is_onnx(folder)
        if onnx and dtype not in (None, "fp32", "auto"):
            raise UsageError(
                f"--dtype {dtype} does not apply to {model}.",
                why="An ONNX graph has a fixed precision.",
                fix="Leave --dtype out.",
            )
        device = "cpu" if onnx else device_for(device)
        if dtype is None and found.role == "static model":
            dtype = "fp32"  # A table of vectors is read no faster in half precision.
        precision = "fp32" if onnx else dtype_for(dtype, device)
        backend = backend_for(backend, folder, device, precision, found)
        return cls(
            model=model,
            content=fingerprint(folder),
            backend=backend,
            device=device,
            dtype=precision,
            max_length=limit_for(model, folder, max_length),
            batch_tokens=None if onnx else batch_tokens or usual_batch(folder, device),
            **declared(folder, onnx, given),
        )

    @classmethod
    def _served(
        cls, model: str, use: Use, max_length: int | None, reach: Reach, given: Declared
    ) -> ModelSpec:
        """Describe a model on a server by its answers to a fixed text."""
        from hnmine.encode.served import identify

        if use == "encoder":
            refuse_for_server(model, max_length, given.get("pooling"))
        content, name = identify(model, reach, reranks=use == "cross-encoder")
        spec = cls(model=model, content=content, backend="server", device="server")
        wanted = {name: value for name, value in given.items() if value is not None}
        return spec.model_copy(update=wanted | {"served_as": name, "reach": reach})

    @classmethod
    def of_files(cls, content: str, similarity: Similarity, truncate_dim: int | None) -> ModelSpec:
        """Describe vectors from files, whose encoder is unknown, by the hash of their content."""
        return cls(
            model="vectors from files",
            content=content,
            backend="files",
            device="cpu",
            similarity=similarity,
            truncate_dim=truncate_dim,
        )

    def on(
        self,
        device: str,
        dtype: Dtype | Literal["auto"] | None = None,
        batch_tokens: int | None = None,
    ) -> ModelSpec:
        """Return the same model on another device; ONNX graphs stay on the CPU.

        On another kind of device, settings or defaults decide the batch and half precision again.

        Args:
            device: as in the settings.
            dtype: the setting that it was found with.
            batch_tokens: the same.

        Raises:
            MissingModel: the device or the model is missing.
        """
        if self.backend == "onnx" or self.is_elsewhere:
            return self
        device = device_for(device)
        backend = self.backend if device == "cpu" else "torch"
        moved = self.model_copy(update={"device": device, "backend": backend})
        if _kind(device) == _kind(self.device):
            return moved
        tokens = batch_tokens or usual_batch(find_model(self.model), device)
        how = {"dtype": self.dtype_on(device, dtype), "batch_tokens": tokens}
        return moved.model_copy(update=how)

    def dtype_on(self, device: str, wanted: Dtype | Literal["auto"] | None) -> Dtype:
        """Return the precision on a device; half precision may be slow on one of another kind.

        Args:
            device: as `device_for` returns it.
            wanted: the setting that the model was found with.
        """
        stays = _kind(device) == _kind(self.device) or self.dtype == "fp32"
        return self.dtype if stays else dtype_for(wanted, device)

    @property
    def is_elsewhere(self) -> bool:
        """Whether no model on this machine made the vectors."""
        return self.backend in get_args(Elsewhere)

    @property
    def exactness(self) -> Json | None:
        """How exactly its vectors can be reproduced; None: to the bit, one text at a time."""
        if self.backend == "server":
            return {"to_the_bit": [], "cosines_may_differ_by": None}
        return None if self.backend in ("onnx", "files") else EXACTNESS

    def folder(self) -> Path:
        """Return the model's folder, whose content must match the spec.

        Raises:
            InputError: the model has changed since.
        """
        folder = find_model(self.model)
        if fingerprint(folder) != self.content:
            raise InputError(
                f"The model {self.model} is not the one that was used before.",
                why="The content of its files has changed.",
                fix="Restore the old model, or start again with another directory.",
            )
        return folder


def backend_for(wanted: str, folder: Path, device: str, dtype: str, found: Found) -> Backend:
    """Return the fastest back end that is installed and can run a model.

    Raises:
        MissingModel: the user wants OpenVINO, and it is not installed.
        UsageError: the back end cannot run the model.
    """
    if is_onnx(folder) or wanted == "onnx":
        if not is_onnx(folder) or wanted not in ("auto", "onnx"):
            raise UsageError(
                f"--backend {wanted} cannot run {folder}.",
                why="Only onnxruntime runs ONNX graphs, and it runs nothing else.",
                fix="Leave --backend out, or name the model in its other format.",
            )
        return "onnx"
    installed = importlib.util.find_spec("openvino") is not None
    if wanted == "openvino" and not installed:
        raise missing_extra("openvino", "openvino")
    config = read_json(transformer_folder(folder), "config.json")
    why = _not_by_openvino(folder, config, device, dtype, found)
    if wanted == "openvino" and why:
        raise UsageError(
            f"--backend openvino cannot run {found.a_role} on {device} with --dtype {dtype}.",
            why=why,
            fix="Leave --backend out, or pass --backend torch.",
        )
    tested = config.get("model_type") in OPENVINO_TYPES and "auto_map" not in config
    able = wanted == "auto" and installed and tested and not why
    return "openvino" if able or wanted == "openvino" else "torch"


def _not_by_openvino(folder: Path, config: Json, device: str, dtype: str, found: Found) -> str:
    """Say why OpenVINO cannot run a model; empty if it can."""
    if device != "cpu" or dtype == "fp16":
        return "hnmine runs OpenVINO on the CPU, in fp32 or bf16."
    if found.role in ("static model", "LLM reranker"):
        return found.why
    kinds = {str(module.get("type", "")).rpartition(".")[2] for module in modules_of(folder)}
    if others := kinds - AFTER_TOKENS:
        return f"modules.json lists {', '.join(sorted(others))}."
    if (output := output_of(folder)) not in ("last_hidden_state", "logits"):
        return f"Its vectors are made of {output}."
    return "It takes all hidden states." if config.get("output_hidden_states") else ""


def _kind(device: str) -> str:
    return device.partition(":")[0]


def usual_batch(folder: Path, device: str) -> int:
    """Return the tokens of a batch: on a GPU the fewer, the wider the model."""
    if device == "cpu":
        return CPU_BATCH_TOKENS
    config = read_json(transformer_folder(folder), "config.json")
    inner = config.get("text_config")
    width = next(
        (
            found
            for about in (config, inner if isinstance(inner, dict) else {})
            for name in WIDTHS
            if isinstance(found := about.get(name), int) and found > 0
        ),
        USUAL_WIDTH,
    )
    fewest, most = GPU_BATCH_TOKENS
    return min(max(GPU_BATCH_VALUES // width, fewest), most)
