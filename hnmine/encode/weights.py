"""The tensors and the ONNX graph of a model, described without running it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hnmine.encode.locate import damaged, read_json
from hnmine.errors import MissingModel, first_line, missing_extra

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Shapes = dict[str, tuple[int, ...]]

LFS = b"version https://git-lfs"


def tensors_of(folder: Path) -> Shapes | None:
    """Return the shape of each tensor by its name; None without safetensors files.

    Raises:
        MissingModel: a file is damaged, or one that the index names is missing.
    """
    if (whole := folder / "model.safetensors").is_file():
        return _header(whole)
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return None
    listed = read_json(folder, index.name).get("weight_map")
    if not isinstance(listed, dict):
        raise damaged(index, "It lists no files.")
    found: Shapes = {}
    for name in sorted(set(map(str, listed.values()))):
        if Path(name).name != name:
            raise damaged(index, f"It names the file {name!r}.")
        found |= _header(folder / name)
    return found


def _header(file: Path) -> Shapes:
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise damaged(file, "It is missing, and the model's index names it.")
    with file.open("rb") as stream:
        if stream.read(len(LFS)) == LFS:
            raise damaged(file, "It is a Git LFS pointer, not the weights: run `git lfs pull`.")
    try:
        with safe_open(str(file), framework="numpy") as tensors:
            names = tensors.keys()
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
    except SafetensorError as error:
        raise damaged(file, first_line(error)) from error


@dataclass(frozen=True)
class Graph:
    """The inputs and the output of an ONNX graph.

    Attributes:
        inputs: their names.
        output: name of the output that hnmine uses.
        shape: of that output; a variable size is a name or None.
    """

    inputs: frozenset[str]
    output: str
    shape: tuple[object, ...]


def graph_of(folder: Path) -> Graph:
    """Return the inputs and the output of the graph in a folder.

    The output is the first; if that is the pooler's, the vectors of tokens where it gives them.

    Raises:
        MissingModel: it is damaged, or onnxruntime is not installed.
    """
    return _graph(folder, (folder / "model.onnx").stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _graph(folder: Path, modified: int) -> Graph:
    session = open_session(folder, optimised=False)
    outputs = session.get_outputs()
    used = outputs[0]
    if used.name.lower() in ("pooler_output", "pooled_output"):
        used = next((output for output in outputs if len(output.shape) > 2), used)
    names = frozenset(node.name for node in session.get_inputs())
    return Graph(names, used.name, tuple(used.shape))


def open_session(folder: Path, *, optimised: bool = True) -> InferenceSession:
    """Open the ONNX graph of a folder with onnxruntime, on one CPU thread.

    Raises:
        MissingModel: it is damaged, or onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimised:  # Optimising takes longest.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    file = str(folder / "model.onnx")
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise cannot_load(folder, error) from error


def cannot_load(folder: Path, error: Exception) -> MissingModel:
    """Return the error for an ONNX model that its libraries cannot load."""
    return MissingModel(
        f"The ONNX model {folder} cannot be loaded.",
        why=first_line(error),
        fix="Check that its folder holds a whole model.onnx and tokenizer.json.",
    )
