"""Tiny bi-encoders with random weights, in the formats that sentence-transformers saves.

Each is loaded by hnmine on every back end that runs it, and compared with sentence-transformers'
own `encode_query` and `encode_document`: by `tests/test_zoo_encoders.py`, and by this file as a
script, which prints a table of the largest differences.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from conftest import ENCODER

from hnmine.encode import load_encoder
from hnmine.encode.locate import find_model
from hnmine.encode.spec import ModelSpec

TEXTS = [
    "a teapot",
    "The lantern in the harbour is lit every evening, unless the wind comes from the east.",
    "Grüße aus Köln",
    "word " * 300,
    "clean the kettle with vinegar " * 9,
    "?",
]
"""Of mixed length; one is longer than any of the models takes."""

PROMPTS = {"query": "find what answers: ", "document": "passage: "}
SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
}
DIFFERENT = {
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 16},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 16},
}
LIMIT = 96


@dataclass(frozen=True)
class Tiny:
    """A model of the zoo.

    Attributes:
        kind: the type of its transformer; static for none.
        pooling: a mode or several.
        prompts: by name.
        more: the modules that follow the pooling.
        include_prompt: whether the prompt is pooled.
        earlier: whether its pooling is written as before sentence-transformers 6.
        left: whether its tokeniser pads on the left, and ends with a token that is pooled.
        settings: of `config_sentence_transformers.json`, besides.
        onnx: whether it is exported, too.
    """

    kind: str = "bert"
    pooling: str | tuple[str, ...] = "mean"
    prompts: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    include_prompt: bool = True
    earlier: bool = False
    left: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    onnx: bool = True


ZOO = {
    **{f"bert {mode}": Tiny(pooling=mode) for mode in (
        "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"
    )},
    **{f"bert {mode}, flags": Tiny(pooling=mode, earlier=True, prompts=PROMPTS) for mode in (
        "cls", "max", "lasttoken"
    )},
    "bert cls+mean": Tiny(pooling=("cls", "mean"), prompts=PROMPTS),
    "bert mean+max, flags": Tiny(pooling=("max", "mean"), earlier=True),
    "bert prompt not pooled": Tiny(include_prompt=False, prompts=PROMPTS),
    "bert weightedmean, prompt not pooled": Tiny(
        pooling="weightedmean", include_prompt=False, prompts=PROMPTS
    ),
    "bert cls, prompt not pooled": Tiny(pooling="cls", include_prompt=False, prompts=PROMPTS),
    "bert dense": Tiny(more=("dense",)),
    "bert dense, norm, length 1, dot": Tiny(
        more=("dense", "norm", "length"), prompts=PROMPTS, settings={"similarity_fn_name": "dot"}
    ),
    "bert dot": Tiny(settings={"similarity_fn_name": "dot"}),
    "bert 8 dimensions": Tiny(settings={"truncate_dim": 8}),
    "roberta": Tiny("roberta", prompts=PROMPTS),
    "xlm-roberta": Tiny("xlm-roberta", "cls", prompts={"query": "query: ", "passage": "passage: "}),
    "mpnet": Tiny("mpnet"),
    "distilbert": Tiny("distilbert", "cls"),
    "modernbert": Tiny("modernbert", "cls", prompts=PROMPTS),
    "qwen3 lasttoken": Tiny("qwen3", "lasttoken", prompts={"query": "Query:"}, left=True),
    "qwen3 weightedmean": Tiny("qwen3", "weightedmean", left=True, onnx=False),
    "static": Tiny("static", prompts=PROMPTS, onnx=False),
    "static dense": Tiny("static", more=("dense",), onnx=False),
}  # fmt: skip


def make(folder: Path, tiny: Tiny) -> Path:
    """Save a model of the zoo by sentence-transformers; a graph of it in `folder/onnx`."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.manual_seed(0)
    modules = _modules(folder, tiny)
    model = SentenceTransformer(modules=modules, prompts=tiny.prompts, device="cpu")
    saved = folder / "torch"
    model.save(str(saved))
    _change(saved / "config_sentence_transformers.json", **tiny.settings)
    if tiny.earlier:
        _as_before(saved / "1_Pooling" / "config.json")
    if tiny.onnx:
        _export(model[0].auto_model.eval(), saved, folder / "onnx")
    return folder


def _modules(folder: Path, tiny: Tiny) -> list[Any]:
    import torch
    from sentence_transformers.sentence_transformer.modules import (
        Dense,
        LayerNorm,
        Normalize,
        Pooling,
        StaticEmbedding,
        Transformer,
    )
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoModel

    width = 32
    if tiny.kind == "static":
        tokenizer = Tokenizer.from_file(str(find_model(ENCODER) / "tokenizer.json"))
        tokenizer.no_truncation()
        weights = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), width))
        modules = [StaticEmbedding(tokenizer, embedding_weights=weights.astype(np.float32))]
    else:
        tokenizer = _tokenizer(tiny)
        shape = {**SIZE, **DIFFERENT.get(tiny.kind, {})}
        ids = {"pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
        config = AutoConfig.for_model(tiny.kind, **shape, **ids)
        plain = folder / "plain"
        AutoModel.from_config(config).eval().save_pretrained(plain)
        tokenizer.save_pretrained(plain)
        modules = [Transformer(str(plain), max_seq_length=LIMIT)]
        pooling = Pooling(width, pooling_mode=tiny.pooling, include_prompt=tiny.include_prompt)
        width = pooling.pooling_output_dimension
        modules.append(pooling)
    for name in tiny.more:
        if name == "dense":
            modules.append(Dense(width, 16))
            width = 16
        else:
            modules.append(LayerNorm(width) if name == "norm" else Normalize())
    for module in modules[1:]:
        for values in module.parameters():
            torch.nn.init.normal_(values, std=0.5)
    return modules


def _tokenizer(tiny: Tiny) -> Any:
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(find_model(ENCODER)))
    tokenizer.model_max_length = LIMIT
    if tiny.left:
        tokenizer.padding_side = "left"
        end = [("[SEP]", tokenizer.sep_token_id)]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="$A [SEP]", special_tokens=end
        )
    return tokenizer


def _change(file: Path, **more: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **more}))


def _as_before(file: Path) -> None:
    """Write the pooling as sentence-transformers 5 did."""
    config = json.loads(file.read_text())
    modes = config.pop("pooling_mode")
    names = {
        "cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens",
        "mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean": "weightedmean_tokens",
        "lasttoken": "lasttoken",
    }  # fmt: skip
    flags = {f"pooling_mode_{name}": mode in modes for mode, name in names.items()}
    width = config.pop("embedding_dimension")
    file.write_text(json.dumps({"word_embedding_dimension": width, **config, **flags}))


def _export(model: Any, saved: Path, folder: Path) -> None:
    """Write the transformer as a graph, beside all else that sentence-transformers saved."""
    import inspect
    import shutil
    import warnings

    import torch

    known = inspect.signature(model.forward).parameters
    names = [n for n in ("input_ids", "attention_mask", "token_type_ids") if n in known]

    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: Any) -> Any:
            return self.model(**dict(zip(names, values, strict=True)))[0]

    shutil.copytree(saved, folder)
    (folder / "model.safetensors").unlink()
    ones = torch.ones((1, 8), dtype=torch.long)
    axes = {name: {0: "texts", 1: "tokens"} for name in [*names, "tokens"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Tokens(), (ones,) * len(names), str(folder / "model.onnx"), input_names=names,
            output_names=["tokens"], dynamic_axes=axes, dynamo=False, opset_version=17,
        )  # fmt: skip


def backends(tiny: Tiny) -> list[str]:
    """Return the back ends that run a model."""
    some = ["torch"]
    if tiny.kind not in ("static", "qwen3"):
        some.append("openvino")
    return some + ["onnx"] * tiny.onnx


def difference(folder: Path, tiny: Tiny, backend: str) -> float:
    """Return how far vectors are from those of sentence-transformers at most, as they compare."""
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(folder / "torch"), device="cpu")
    place = folder / ("onnx" if backend == "onnx" else "torch")
    spec = ModelSpec.find(str(place), device="cpu", backend=backend, dtype="fp32")
    ours = load_encoder(spec, 1)
    most = 0.0
    for kind, encode in (("query", theirs.encode_query), ("document", theirs.encode_document)):
        # An empty prompt for documents hides no other here, as it does there.
        prompt = tiny.prompts.get("passage") if kind == "document" else None
        length = spec.similarity == "cosine"
        expected = encode(TEXTS, prompt=prompt, normalize_embeddings=length)
        most = max(most, float(np.abs(ours.encode(TEXTS, kind) - expected).max()))
    return most


def main() -> None:
    """Print the largest difference of each model on each back end."""
    names = ("torch", "openvino", "onnx")
    sys.stdout.write(f"{'model':<38}" + "".join(f"{name:>12}" for name in names) + "\n")
    for name, tiny in ZOO.items():
        with tempfile.TemporaryDirectory() as folder:
            place = make(Path(folder), tiny)
            found = {backend: difference(place, tiny, backend) for backend in backends(tiny)}
        shown = [f"{found[one]:12.1e}" if one in found else f"{'-':>12}" for one in names]
        sys.stdout.write(f"{name:<38}" + "".join(shown) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
