"""Pool token vectors to that of a text, as sentence-transformers does, for ONNX graphs.

Each text runs by itself, so that nothing is padded. Other modules are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.encode.locate import damaged, modules_of, read_json
from hnmine.errors import MissingModel
from hnmine.runner.plan import Json

Floats = NDArray[np.float32]
Layer = Callable[[Floats], Floats]

EARLIER_NAMES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Keys of sentence-transformers before 6, in the order in which it joins several."""

MODES = tuple(EARLIER_NAMES.values())
TINY = 1e-9
"""The least divisor of sentence-transformers, for a mean of no tokens."""


@dataclass(frozen=True)
class Pipeline:
    """The modules after the transformer.

    Attributes:
        modes: of pooling; the vectors of several are joined.
        prompt: whether pooling includes the tokens of the prompt.
        after: the modules that follow pooling, each a class name and a folder.
    """

    modes: tuple[str, ...]
    prompt: bool = True
    after: tuple[tuple[str, Path], ...] = ()

    @classmethod
    def read(cls, folder: Path, given: str | None = None) -> Pipeline:
        """Read the modules of a model's folder.

        Raises:
            MissingModel: it has an unknown module or mode.
        """
        modules = _modules(folder)
        names = [name for name, _ in modules]
        place = names.index("Pooling") if "Pooling" in names else 0
        config = read_json(modules[place][1] if place else folder / "1_Pooling", "config.json")
        _refuse_others(folder, modules[1:place], ())
        after = modules[place + 1 :]
        _refuse_others(folder, after, ("Dense", "LayerNorm", "Normalize", "Dropout"))
        if given:
            modes = tuple(given.split("+"))
        else:
            modes = _modes(folder, config) if config or place else (_usual(folder),)
        after = [module for module in after if module[0] != "Dropout"]
        return cls(modes, config.get("include_prompt", True) is not False, tuple(after))

    @property
    def pooling(self) -> str:
        """The modes, joined by +."""
        return "+".join(self.modes)

    @property
    def normalizes(self) -> bool:
        """Whether a module scales vectors to length 1."""
        return any(name == "Normalize" for name, _ in self.after)

    @property
    def has_more(self) -> bool:
        """Whether it does more than pool all tokens and normalise."""
        return not self.prompt or any(name != "Normalize" for name, _ in self.after)

    def layers(self) -> list[Layer]:
        """Load the modules that follow pooling.

        Raises:
            MissingModel: one is damaged or unknown.
        """
        loaders: dict[str, Callable[[Path], Layer]] = {"Dense": _dense, "LayerNorm": _layer_norm}
        return [
            loaders[name](folder) if name in loaders else _normalize for name, folder in self.after
        ]

    def pool(self, tokens: NDArray[np.floating], prompt: int = 0) -> Floats:
        """Return the vector of a text, shape (dimension,).

        Args:
            tokens: the vectors of its tokens, shape (tokens, d).
            prompt: how many of them, from the first, belong to the prompt.
        """
        vectors, start = tokens.astype(np.float32), 0 if self.prompt else prompt
        parts: list[Floats] = [_pooled(mode, vectors, start) for mode in self.modes]
        return np.concatenate(parts)


def pooled_before(folder: Path) -> str:
    """Return the pooling that earlier versions recorded as null."""
    config = read_json(folder / "1_Pooling", "config.json")
    return "cls" if config.get("pooling_mode_cls_token") else "mean"


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Return the class and the folder of each module, in order; empty without modules.json."""
    if not (folder / "modules.json").exists():
        if any(re.match(r"\d+_(Dense|LayerNorm)", part.name) for part in folder.iterdir()):
            raise MissingModel(
                f"The model {folder} has folders of modules and no modules.json.",
                why="That file holds the order of the modules.",
                fix="Copy modules.json from the model, too.",
            )
        return []
    try:
        found = modules_of(folder)
        return [(module["type"].rpartition(".")[2], folder / module["path"]) for module in found]
    except (TypeError, KeyError, AttributeError) as error:
        raise damaged(folder / "modules.json", repr(error)) from error


def _usual(folder: Path) -> str:
    """Return the default pooling of sentence-transformers for a model."""
    config = read_json(folder, "config.json")
    names = config.get("architectures") or [""]
    causal = names[0].endswith("ForCausalLM") and config.get("is_causal", True)
    return "lasttoken" if causal else "mean"


def _modes(folder: Path, config: Json) -> tuple[str, ...]:
    wanted = config.get("pooling_mode")
    if wanted is None:
        wanted = [mode for key, mode in EARLIER_NAMES.items() if config.get(key)] or ["mean"]
    modes = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    if not modes or not set(modes) <= set(MODES):
        raise MissingModel(
            f"The model {folder} pools by {wanted!r}.",
            why=f"hnmine knows {', '.join(MODES)}.",
            fix="Name another model, or set the pooling with --pooling.",
        )
    return modes


def _refuse_others(folder: Path, modules: list[tuple[str, Path]], known: tuple[str, ...]) -> None:
    for name, place in modules:
        if name not in known:
            raise MissingModel(
                f"The ONNX model {folder} has a module {name} that hnmine cannot run.",
                why=f"Instead of {place.name}, hnmine supports "
                f"{', '.join(known) or 'only the pooling'}.",
                fix="Name the model in PyTorch's format (safetensors), or another model.",
            )


def _pooled(mode: str, tokens: Floats, start: int) -> Floats:
    """Pool tokens from `start` on by one mode, with sentence-transformers' value for none."""
    part = tokens[start:]
    if mode == "cls":
        return part[0] if len(part) else tokens[0]
    if mode == "lasttoken":
        return part[-1] if len(part) else np.zeros_like(tokens[0])
    if mode == "max":
        return part.max(axis=0) if len(part) else np.zeros_like(tokens[0])
    weights = np.ones(len(part), np.float32)
    if mode == "weightedmean":
        weights = np.arange(start + 1, len(tokens) + 1, dtype=np.float32)
    total = max(float(weights.sum()), TINY)
    summed: Floats = weights @ part if mode == "weightedmean" else part.sum(axis=0)
    pooled: Floats = (summed / (total**0.5 if mode == "mean_sqrt_len_tokens" else total)).astype(
        np.float32
    )
    return pooled


def _weights(folder: Path) -> dict[str, Floats]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = folder / "model.safetensors"
    try:
        return {name: value.astype(np.float32) for name, value in load_file(file).items()}
    except (OSError, SafetensorError, TypeError) as error:
        raise MissingModel(
            f"The module {folder} of the model cannot be loaded.",
            why=f"{file.name} is missing or damaged; hnmine reads no pickled weights.",
            fix="Save the model again by sentence-transformers, which writes safetensors.",
        ) from error


def _erf_gelu(x: Floats) -> Floats:
    from scipy.special import erf

    return (x * 0.5 * (1 + erf(x / np.sqrt(2)))).astype(np.float32)


ACTIVATIONS: dict[str, Layer] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "Sigmoid": lambda x: (1 / (1 + np.exp(-x))).astype(np.float32),
    "SiLU": lambda x: (x / (1 + np.exp(-x))).astype(np.float32),
    "GELU": _erf_gelu,
}


def _dense(folder: Path) -> Layer:
    config, weights = read_json(folder, "config.json"), _weights(folder)
    name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = ACTIVATIONS.get(re.sub(r"^torch\.nn\.(\w+\.)*", "", name))
    usual = config.get("module_input_name", "sentence_embedding") == "sentence_embedding"
    outcome = config.get("module_output_name") in (None, "sentence_embedding")
    matrix = weights.get("linear.weight")
    if activation is None or matrix is None or not (usual and outcome):
        raise MissingModel(
            f"hnmine cannot run the module {folder} of an ONNX model.",
            why=f"It runs dense layers on the vector of a text, with the activations "
            f"{', '.join(ACTIVATIONS)}; this one has {name}.",
            fix="Name the model in PyTorch's format (safetensors), or another model.",
        )
    bias = weights.get("linear.bias", np.float32(0))

    def apply(vector: Floats) -> Floats:
        out = activation(matrix @ vector + bias)
        if config.get("use_residual"):
            residual = weights.get("residual.weight")
            out = out + (vector if residual is None else residual @ vector)
        return out

    return apply


def _layer_norm(folder: Path) -> Layer:
    weights = _weights(folder)

    def apply(vector: Floats) -> Floats:
        centred = vector - vector.mean()
        scaled = centred / np.sqrt((centred**2).mean() + np.float32(1e-5))
        normal: Floats = scaled * weights["norm.weight"] + weights["norm.bias"]
        return normal

    return apply


def _normalize(vector: Floats) -> Floats:
    scaled: Floats = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return scaled
