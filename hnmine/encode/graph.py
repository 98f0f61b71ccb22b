"""What an ONNX graph takes and gives, without its tokeniser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hnmine.errors import MissingModel, missing_extra


@dataclass(frozen=True)
class Graph:
    """The ends of a graph.

    Attributes:
        inputs: their names.
        output: name of the output that is used.
        shape: of that output; what varies is a name or None.
    """

    inputs: frozenset[str]
    output: str
    shape: tuple[Any, ...]


def graph_of(folder: Path) -> Graph:
    """Return the ends of the graph in a folder.

    Raises:
        MissingModel: it is damaged, or onnxruntime is not installed.
    """
    file = folder / "model.onnx"
    return _ends(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _ends(file: Path, modified: int) -> Graph:
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Optimising takes longest, and nothing is run.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise MissingModel(
            f"The ONNX model {file.parent} cannot be loaded.",
            why=str(error).strip().splitlines()[0],
            fix="Check that its folder holds a whole model.onnx and tokenizer.json.",
        ) from error
    used = _used(session.get_outputs())
    names = frozenset(node.name for node in session.get_inputs())
    return Graph(names, used.name, tuple(used.shape))


def _used(outputs: Sequence[Any]) -> Any:
    """Return the first output; where that is the pooler's, the vectors of tokens beside it."""
    if outputs[0].name.lower() not in ("pooler_output", "pooled_output"):
        return outputs[0]
    return next((output for output in outputs if len(output.shape) > 2), outputs[0])
